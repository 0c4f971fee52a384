package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/kms-go/kes"
)

const eventTimeout = 5 * time.Second

func checkLogs(s *suite) {
	s.each("AuditLog delivers a success and a refusal as they happen", func(ctx context.Context, c caller) error {
		ctx, cancel := context.WithTimeout(ctx, eventTimeout)
		defer cancel()
		stream, err := c.AuditLog(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		name := c.prefix + "audited"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		if err := expectAudit(stream, c, "/v1/key/create/"+name, 200); err != nil {
			return err
		}
		if err := expectError(c.CreateKey(ctx, name), kes.ErrKeyExists); err != nil {
			return err
		}
		if err := expectAudit(stream, c, "/v1/key/create/"+name, 400); err != nil {
			return err
		}
		return expectError(s.user.CreateKey(ctx, "admin-key"), kes.ErrNotAllowed)
	})
	s.check("AuditLog tells one caller what the other does", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, eventTimeout)
		defer cancel()
		stream, err := s.admin.AuditLog(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		if err := expectError(s.user.CreateKey(ctx, "admin-key"), kes.ErrNotAllowed); err != nil {
			return err
		}
		return expectAudit(stream, s.user, "/v1/key/create/admin-key", 403)
	})
	s.each("ErrorLog delivers an event as it happens", func(ctx context.Context, c caller) error {
		ctx, cancel := context.WithTimeout(ctx, eventTimeout)
		defer cancel()
		stream, err := c.ErrorLog(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		if err := expectError(s.user.CreateKey(ctx, "admin-key"), kes.ErrNotAllowed); err != nil {
			return err
		}
		// Connections that other checks leave behind may be heard of in between.
		for stream.Next() {
			if strings.Contains(stream.Message(), "req.path=/v1/key/create/admin-key") {
				return expect(stream.Event().Message == stream.Message(), "%q and %q", stream.Event().Message, stream.Message())
			}
		}
		return fmt.Errorf("the stream ended: %w", stream.Close())
	})
	s.each("WriteTo copies the audit events until the call is cancelled", func(ctx context.Context, c caller) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.AuditLog(ctx)
		if err != nil {
			return err
		}
		copied := make(chan string, 1)
		go func() {
			var lines bytes.Buffer
			_, _ = stream.WriteTo(&lines)
			copied <- lines.String()
		}()
		if _, err := c.DescribeKey(ctx, c.prefix+"audited"); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
		cancel()
		select {
		case text := <-copied:
			return expect(strings.Contains(text, `"path":"/v1/key/describe/`+c.prefix+`audited"`), "%q", text)
		case <-time.After(eventTimeout):
			return errors.New("it copies on after the call was cancelled")
		}
	})
	s.each("closing a stream ends it, and the client goes on", func(ctx context.Context, c caller) error {
		stream, err := c.ErrorLog(ctx)
		if err != nil {
			return err
		}
		if err := stream.Close(); err != nil {
			return err
		}
		if stream.Next() {
			return fmt.Errorf("the closed stream gives %q", stream.Message())
		}
		_, err = c.Version(ctx)
		return err
	})
}

func expectAudit(stream *kes.AuditStream, c caller, path string, status int) error {
	for stream.Next() {
		event := stream.Event()
		if event.APIPath != path {
			continue
		}
		return expect(
			event.StatusCode == status && event.ClientIdentity == c.identity && event.ClientIP.IsLoopback() &&
				isRecent(event.Timestamp) && event.ResponseTime > time.Microsecond && event.ResponseTime < time.Second,
			"%+v", event,
		)
	}
	return fmt.Errorf("the stream ended: %w", stream.Close())
}
