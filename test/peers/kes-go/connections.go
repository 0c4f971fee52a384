package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/minio/kms-go/kes"
)

func checkClients(s *suite) {
	s.check("ParseAPIKey, String and Identity agree with the server", func(ctx context.Context) error {
		key, err := kes.GenerateAPIKey(nil)
		if err != nil {
			return err
		}
		parsed, err := kes.ParseAPIKey(key.String())
		if err != nil {
			return err
		}
		return expect(parsed.Identity() == key.Identity(), "%s and %s", parsed.Identity(), key.Identity())
	})
	s.check("the server knows the admin by the identity of the API key", func(ctx context.Context) error {
		info, _, err := s.admin.DescribeSelf(ctx)
		if err != nil {
			return err
		}
		return expect(info.Identity == s.admin.identity, "%s", info.Identity)
	})
	s.check("NewClient with certificate options keeps the identity", func(ctx context.Context) error {
		key, err := kes.GenerateAPIKey(nil)
		if err != nil {
			return err
		}
		// One that has expired: the server asks for the key alone.
		client, err := kes.NewClient(s.endpoint, key, func(certificate *x509.Certificate) {
			certificate.NotAfter = certificate.NotBefore.Add(time.Second)
			certificate.Subject.CommonName = "somebody"
		})
		if err != nil {
			return err
		}
		if err := trust(client, s.tls.RootCAs); err != nil {
			return err
		}
		if _, err := client.Version(ctx); err != nil {
			return err
		}
		return expectError(client.CreateKey(ctx, "any"), kes.ErrNotAllowed)
	})
	s.check("a Client made by hand works over HTTP/1.1", func(ctx context.Context) error {
		config := s.tls.Clone()
		config.Certificates = s.user.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Certificates
		config.NextProtos = []string{"http/1.1"}
		client := &kes.Client{
			Endpoints:  []string{s.endpoint},
			HTTPClient: http.Client{Transport: &http.Transport{TLSClientConfig: config}},
		}
		user := s.user
		user.Client = client
		if err := client.CreateKey(ctx, "user-http1"); err != nil {
			return err
		}
		if err := expectError(client.CreateKey(ctx, "user-http1"), kes.ErrKeyExists); err != nil {
			return err
		}
		if err := expectRoundTrip(ctx, user, "user-http1", message, keyContext); err != nil {
			return err
		}
		if _, err := client.HMAC(ctx, "user-http1", message); err != nil {
			return err
		}
		if _, err := client.Metrics(ctx); err != nil {
			return err
		}
		stream, err := client.AuditLog(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		if err := client.DeleteKey(ctx, "user-http1"); err != nil {
			return err
		}
		return expectAudit(stream, user, "/v1/key/delete/user-http1", 200)
	})
	s.check("a client without certificate gets no connection", func(ctx context.Context) error {
		client := kes.NewClientWithConfig(s.endpoint, s.tls.Clone())
		_, err := client.Version(ctx)
		_, isConnError := kes.IsConnError(err)
		return expect(isConnError, "%s", describe(err))
	})
	s.check("a client that can speak TLS 1.2 at most works", func(ctx context.Context) error {
		config := s.user.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.MaxVersion = tls.VersionTLS12
		_, err := kes.NewClientWithConfig(s.endpoint, config).Status(ctx)
		return err
	})
	s.check("a client that can speak TLS 1.1 at most is refused", func(ctx context.Context) error {
		config := s.user.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		_, err := kes.NewClientWithConfig(s.endpoint, config).Status(ctx)
		_, isConnError := kes.IsConnError(err)
		return expect(isConnError, "%s", describe(err))
	})
}

func checkConnections(s *suite) {
	dead, err := deadEndpoint()
	if err != nil {
		panic(err)
	}
	s.each("with a dead endpoint beside the live one every call succeeds", func(ctx context.Context, c caller) error {
		for _, endpoints := range [][]string{{dead, s.endpoint}, {s.endpoint, dead}} {
			config := c.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
			client := kes.NewClientWithConfig(s.endpoint, config)
			client.Endpoints = endpoints
			for i := range 10 {
				if _, err := client.Status(ctx); err != nil {
					return fmt.Errorf("call %d: %w", i, err)
				}
				if _, err := client.GenerateKey(ctx, c.prefix+"none", nil); err != nil {
					if err := expectError(err, kes.ErrKeyNotFound); err != nil {
						return fmt.Errorf("call %d: %w", i, err)
					}
				}
			}
		}
		return nil
	})
	s.check("with dead endpoints alone a call is a ConnError", func(ctx context.Context) error {
		config := s.admin.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
		client := kes.NewClientWithConfig(dead, config)
		client.Endpoints = []string{dead, dead}
		_, err := client.Status(ctx)
		_, isConnError := kes.IsConnError(err)
		return expect(isConnError, "%s", describe(err))
	})
	s.each("refusals do not make the client leave an endpoint", func(ctx context.Context, c caller) error {
		config := c.HTTPClient.Transport.(*http.Transport).TLSClientConfig.Clone()
		client := kes.NewClientWithConfig(s.endpoint, config)
		client.Endpoints = []string{s.endpoint, dead}
		for range 20 {
			if err := expectError(client.DeleteKey(ctx, c.prefix+"none"), kes.ErrKeyNotFound); err != nil {
				return err
			}
		}
		_, err := client.Status(ctx)
		return err
	})
	s.each("a cancelled call ends with context.Canceled, and the client goes on", func(ctx context.Context, c caller) error {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := c.Status(cancelled); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("before the call: %s", describe(err))
		}
		// At once, because the SDK waits up to a second after each failure before it looks at the context.
		err := atOnce(40, func(i int) error {
			during, cancel := context.WithTimeout(ctx, time.Duration(i)*500*time.Microsecond)
			defer cancel()
			_, err := c.Encrypt(during, c.prefix+"none", make([]byte, 200_000), nil)
			if errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return expectError(err, kes.ErrKeyNotFound)
		})
		if err != nil {
			return err
		}
		_, err = c.Status(ctx)
		return err
	})
	s.each("a cancelled log stream ends", func(ctx context.Context, c caller) error {
		cancellable, cancel := context.WithCancel(ctx)
		stream, err := c.AuditLog(cancellable)
		if err != nil {
			cancel()
			return err
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		if stream.Next() {
			return fmt.Errorf("an event: %+v", stream.Event())
		}
		if cancellable.Err() == nil {
			return fmt.Errorf("it ended before it was cancelled: %v", stream.Close())
		}
		_, err = c.Status(ctx)
		return err
	})
	s.each("400 calls at once over one client all succeed", func(ctx context.Context, c caller) error {
		name := c.prefix + "parallel"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		return atOnce(400, func(int) error { return expectRoundTrip(ctx, c, name, message, keyContext) })
	})
}

// atOnce makes n calls side by side; it gives one of their errors.
func atOnce(n int, call func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- call(i) }()
	}
	var failure error
	for range n {
		if err := <-errs; err != nil {
			failure = err
		}
	}
	return failure
}

// deadEndpoint is an address on which nobody listens.
func deadEndpoint() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return "https://" + listener.Addr().String(), nil
}
