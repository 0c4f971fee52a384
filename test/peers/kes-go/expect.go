package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/kms-go/kes"
)

// expect fails unless a condition holds.
func expect(holds bool, format string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, values...)
}

// expectError fails unless err is one of the SDK's values, by errors.Is and by ==, as programs compare it.
func expectError(err error, want kes.Error) error {
	if errors.Is(err, want) && err == error(want) {
		return nil
	}
	return fmt.Errorf("got %s, want %s", describe(err), describe(want))
}

// expectStatus fails unless err is an answer of the server with this status and message.
func expectStatus(err error, status int, message string) error {
	return expectError(err, kes.NewError(status, message))
}

func describe(err error) string {
	var answer kes.Error
	if errors.As(err, &answer) {
		return fmt.Sprintf("%d %q", answer.Status(), answer.Error())
	}
	return fmt.Sprintf("%T %v", err, err)
}

// inOrder runs steps until one fails.
func inOrder(steps ...func() error) error {
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// put sends what the SDK has no method for, as the caller.
func (s *suite) put(ctx context.Context, c caller, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.endpoint+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.HTTPClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return expect(response.StatusCode == http.StatusOK, "PUT %s: %s", path, response.Status)
}
