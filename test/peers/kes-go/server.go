package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/minio/kms-go/kes"
)

// The APIs of the last KES, as /v1/api lists them.
var kesAPIs = []kes.API{
	{Method: "GET", Path: "/version", Timeout: 10 * time.Second},
	{Method: "GET", Path: "/v1/ready", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/status", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/metrics", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/api", Timeout: 10 * time.Second},
	{Method: "PUT", Path: "/v1/key/create/", Timeout: 15 * time.Second},
	{Method: "PUT", Path: "/v1/key/import/", MaxBody: 1_000_000, Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/key/describe/", Timeout: 15 * time.Second},
	{Method: "DELETE", Path: "/v1/key/delete/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/key/list/", Timeout: 15 * time.Second},
	{Method: "PUT", Path: "/v1/key/generate/", MaxBody: 1_000_000, Timeout: 15 * time.Second},
	{Method: "PUT", Path: "/v1/key/encrypt/", MaxBody: 1_000_000, Timeout: 15 * time.Second},
	{Method: "PUT", Path: "/v1/key/decrypt/", MaxBody: 1_000_000, Timeout: 15 * time.Second},
	{Method: "PUT", Path: "/v1/key/hmac/", MaxBody: 1_000_000, Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/policy/describe/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/policy/read/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/policy/list/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/identity/describe/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/identity/list/", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/identity/self/describe", Timeout: 15 * time.Second},
	{Method: "GET", Path: "/v1/log/error"},
	{Method: "GET", Path: "/v1/log/audit"},
}

func checkServer(s *suite) {
	s.each("Version names a version", func(ctx context.Context, c caller) error {
		version, err := c.Version(ctx)
		if err != nil {
			return err
		}
		return expect(version != "", "empty")
	})
	s.each("Status describes the machine and an available key store", func(ctx context.Context, c caller) error {
		state, err := c.Status(ctx)
		if err != nil {
			return err
		}
		isMachine := state.OS == runtime.GOOS && state.Arch == runtime.GOARCH && state.CPUs > 0 && state.UsableCPUs > 0
		isUp := state.Version != "" && state.UpTime >= 0 && state.UpTime < time.Hour && state.HeapAlloc > 0
		isStoreUp := state.KeyStoreReachable && state.KeystoreAvailable && state.KeyStoreLatency > 0
		return expect(isMachine && isUp && isStoreUp, "%+v", state)
	})
	s.each("IsReady says yes", func(ctx context.Context, c caller) error {
		isReady, err := c.IsReady(ctx)
		if err != nil {
			return err
		}
		return expect(isReady, "it says no")
	})
	s.each("APIs lists every API of KES with its limits", func(ctx context.Context, c caller) error {
		apis, err := c.APIs(ctx)
		if err != nil {
			return err
		}
		listed := map[kes.API]int{}
		for _, api := range apis {
			listed[api]++
		}
		for _, api := range kesAPIs {
			if listed[api] != 1 {
				return fmt.Errorf("%+v stands there %d times", api, listed[api])
			}
		}
		return nil
	})
	s.each("Metrics counts successes, errors and times", func(ctx context.Context, c caller) error {
		before, err := c.Metrics(ctx)
		if err != nil {
			return err
		}
		name := c.prefix + "metrics"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		for range 4 {
			if _, err := c.GenerateKey(ctx, name, nil); err != nil {
				return err
			}
		}
		if err := expectError(c.CreateKey(ctx, name), kes.ErrKeyExists); err != nil {
			return err
		}
		after, err := c.Metrics(ctx)
		if err != nil {
			return err
		}
		slowest := 10 * time.Second
		isCounted := after.RequestOK == before.RequestOK+5 && after.RequestErr == before.RequestErr+1
		isTimed := after.LatencyHistogram[slowest] == before.LatencyHistogram[slowest]+6
		isQuiet := after.RequestFail == 0 && after.RequestActive == 0 && after.RequestN() == after.RequestOK+after.RequestErr
		isMachine := after.CPUs > 0 && after.UsableCPUs > 0 && after.HeapAlloc > 0 && after.UpTime < time.Hour
		return expect(isCounted && isTimed && isQuiet && isMachine, "before %+v, after %+v", before, after)
	})
}
