// Command kes-go runs the public Go SDK of KES against a server, one group of checks at a time.
//
//	kes-go <group>
//
// It takes two callers from its environment: an admin with an API key, and a user with a certificate to whom a
// policy allows some calls on keys named user-*. Each check prints one JSON line; the exit code is 1 if one failed.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/kms-go/kes"
)

const checkTimeout = 20 * time.Second

// caller is one client and what the server should know of it.
type caller struct {
	*kes.Client
	name     string
	identity kes.Identity
	// prefix starts the names of the keys that this caller may use.
	prefix string
}

type suite struct {
	admin, user caller
	endpoint    string
	tls         *tls.Config
	hasFailed   bool
}

type result struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

var groups = map[string]func(*suite){
	"clients":     checkClients,
	"connections": checkConnections,
	"errors":      checkErrors,
	"keys":        checkKeys,
	"limits":      checkLimits,
	"listing":     checkListing,
	"locking":     checkLocking,
	"logs":        checkLogs,
	"policies":    checkPolicies,
	"server":      checkServer,
}

func main() {
	if len(os.Args) != 2 || groups[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kes-go <group>")
		os.Exit(2)
	}
	s, err := newSuite()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kes-go:", err)
		os.Exit(2)
	}
	groups[os.Args[1]](s)
	if s.hasFailed {
		os.Exit(1)
	}
}

// check runs one check; an error or a panic fails it.
func (s *suite) check(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	err := func() (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("panic: %v", reason)
			}
		}()
		return run(ctx)
	}()
	line := result{Check: name, OK: err == nil}
	if err != nil {
		line.Detail = err.Error()
		s.hasFailed = true
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}

// each runs a check for both callers.
func (s *suite) each(name string, run func(ctx context.Context, c caller) error) {
	for _, c := range []caller{s.admin, s.user} {
		s.check(c.name+": "+name, func(ctx context.Context) error { return run(ctx, c) })
	}
}

func newSuite() (*suite, error) {
	endpoint := os.Getenv("KES_ENDPOINT")
	ca, err := os.ReadFile(os.Getenv("KES_CA_FILE"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("KES_CA_FILE holds no certificate")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}

	key, err := kes.ParseAPIKey(os.Getenv("KES_API_KEY"))
	if err != nil {
		return nil, err
	}
	admin, err := kes.NewClient(endpoint, key)
	if err != nil {
		return nil, err
	}
	if err := trust(admin, roots); err != nil {
		return nil, err
	}

	certificate, err := tls.LoadX509KeyPair(os.Getenv("KES_CLIENT_CERT_FILE"), os.Getenv("KES_CLIENT_KEY_FILE"))
	if err != nil {
		return nil, err
	}
	userConfig := config.Clone()
	userConfig.Certificates = []tls.Certificate{certificate}
	user := kes.NewClientWithConfig(endpoint, userConfig)

	return &suite{
		admin:    caller{Client: admin, name: "API key", identity: key.Identity(), prefix: "admin-"},
		user:     caller{Client: user, name: "certificate", identity: kes.Identity(os.Getenv("KES_CLIENT_IDENTITY")), prefix: "user-"},
		endpoint: endpoint,
		tls:      config,
	}, nil
}

// trust makes a client of an API key, which knows the system's authorities only, accept the server's.
func trust(client *kes.Client, roots *x509.CertPool) error {
	transport, ok := client.HTTPClient.Transport.(*http.Transport)
	if !ok || transport.TLSClientConfig == nil {
		return fmt.Errorf("the client has a transport of type %T", client.HTTPClient.Transport)
	}
	transport.TLSClientConfig.RootCAs = roots
	return nil
}
