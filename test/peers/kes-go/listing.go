package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"

	"github.com/minio/kms-go/kes"
)

// The server was started with these many keys named bulk_…, each name as long as a name may be.
const bulkPrefix, bulkKeys = "bulk_", 12_500

func checkListing(s *suite) {
	s.check("ListIter visits every one of 12500 keys once and in order", func(ctx context.Context) error {
		names, err := collect(ctx, s.admin.ListKeys, bulkPrefix)
		if err != nil {
			return err
		}
		return expectBulk(names)
	})
	s.check("continuation tokens lead through every page", func(ctx context.Context) error {
		var names []string
		pages := 0
		for prefix := bulkPrefix; ; pages++ {
			page, next, err := s.admin.ListKeys(ctx, prefix, 0)
			if err != nil {
				return err
			}
			names = append(names, page...)
			if next == "" {
				break
			}
			prefix = next
		}
		if err := expect(pages > 0, "one page holds all"); err != nil {
			return err
		}
		return expectBulk(names)
	})
	for _, protocol := range []string{"h2", "http/1.1"} {
		s.check("a page of a megabyte reaches a client that reads slowly, over "+protocol, func(ctx context.Context) error {
			names, err := collect(ctx, s.newSlowReader(protocol).ListKeys, bulkPrefix)
			if err != nil {
				return err
			}
			return expectBulk(names)
		})
	}
	s.check("ListKeys without prefix lists all keys", func(ctx context.Context) error {
		names, err := collect(ctx, s.admin.ListKeys, "")
		if err != nil {
			return err
		}
		return expect(len(names) == bulkKeys, "%d names", len(names))
	})
	s.check("ListKeys knows prefixes and patterns", func(ctx context.Context) error {
		want := bulkName(0)
		for _, prefix := range []string{want, want[:79], want[:79] + "*"} {
			names, next, err := s.admin.ListKeys(ctx, prefix, 0)
			if err != nil {
				return err
			}
			if len(names) == 0 || names[0] != want || next != "" {
				return fmt.Errorf("%q: %q, then %q", prefix, names, next)
			}
		}
		names, next, err := s.admin.ListKeys(ctx, "nothing", 0)
		if err != nil {
			return err
		}
		return expect(len(names) == 0 && next == "", "%q, then %q", names, next)
	})
	s.check("the user lists the own keys alone", func(ctx context.Context) error {
		if err := s.user.CreateKey(ctx, "user-listed"); err != nil {
			return err
		}
		names, err := collect(ctx, s.user.ListKeys, "user-*")
		if err != nil {
			return err
		}
		if err := expect(len(names) == 1 && names[0] == "user-listed", "%q", names); err != nil {
			return err
		}
		_, _, err = s.user.ListKeys(ctx, bulkPrefix, 0)
		return expectError(err, kes.ErrNotAllowed)
	})
}

// newSlowReader makes a client of the admin whose connection takes few bytes at once, so that the server must wait.
func (s *suite) newSlowReader(protocol string) *kes.Client {
	config := s.admin.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{protocol}
	transport := &http.Transport{
		TLSClientConfig:   config,
		ForceAttemptHTTP2: protocol == "h2",
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return connection, connection.(*net.TCPConn).SetReadBuffer(32 * 1024)
		},
	}
	return &kes.Client{Endpoints: []string{s.endpoint}, HTTPClient: http.Client{Transport: transport}}
}

// bulkName is the i-th name of 80 bytes.
func bulkName(i int) string {
	return bulkPrefix + strings.Repeat("n", 80-len(bulkPrefix)-6) + fmt.Sprintf("%06d", i)
}

func expectBulk(names []string) error {
	if !sort.StringsAreSorted(names) || len(names) != bulkKeys {
		return fmt.Errorf("%d names, sorted %t", len(names), sort.StringsAreSorted(names))
	}
	for i, name := range names {
		if name != bulkName(i) {
			return fmt.Errorf("name %d is %q", i, name)
		}
	}
	return nil
}

type page[T any] func(context.Context, string, int) ([]T, string, error)

// collect visits a listing with the SDK's iterator.
func collect[T any](ctx context.Context, next page[T], prefix string) ([]T, error) {
	iter := kes.ListIter[T]{NextFunc: next}
	first, err := iter.SeekTo(ctx, prefix)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	items := []T{first}
	for {
		item, err := iter.Next(ctx)
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
}
