// Package orders shows how a Go program is tested against a key server that is locked, erased, down or slow.
package orders

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/minio/kms-go/kes"
)

// sandbox is what `kes sandbox --json` prints.
type sandbox struct {
	Endpoint     string `json:"endpoint"`
	CAPath       string `json:"ca_path"`
	CertPath     string `json:"cert_path"`
	KeyPath      string `json:"key_path"`
	ControlURL   string `json:"control_url"`
	ControlToken string `json:"control_token"`
}

// startSandbox starts a key server that ends with the test.
func startSandbox(t *testing.T, key string) *sandbox {
	t.Helper()
	cmd := exec.Command("npx", "kes", "sandbox", "--json", "--key", key)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // The sandbox ends with its standard input.
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := new(sandbox)
	if err := json.Unmarshal(line, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// control calls the control API of the sandbox.
func (s *sandbox) control(t *testing.T, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, s.ControlURL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.ControlToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

func (s *sandbox) client(t *testing.T) *kes.Client {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(s.CertPath, s.KeyPath)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.CAPath)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return kes.NewClientWithConfig(s.Endpoint, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		RootCAs:      roots,
		Certificates: []tls.Certificate{certificate},
	})
}

func TestOrders(t *testing.T) {
	s := startSandbox(t, "orders")
	client := s.client(t)
	generate := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_, err := client.GenerateKey(ctx, "orders", nil)
		return err
	}

	t.Run("a locked key is refused, until it is unlocked", func(t *testing.T) {
		s.control(t, "POST", "/keys/orders/lock", nil)
		if err := generate(5 * time.Second); !errors.Is(err, kes.ErrNotAllowed) {
			t.Fatalf("got %v", err)
		}
		s.control(t, "POST", "/keys/orders/unlock", nil)
		if err := generate(5 * time.Second); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a late answer is not waited for", func(t *testing.T) {
		s.control(t, "POST", "/faults", map[string]any{"kind": "latency", "ms": 5000, "paths": "/v1/key/*"})
		if err := generate(100 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		s.control(t, "DELETE", "/faults", nil)
	})
	t.Run("an erased key is gone", func(t *testing.T) {
		s.control(t, "DELETE", "/keys/orders", nil)
		if err := generate(5 * time.Second); !errors.Is(err, kes.ErrKeyNotFound) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a server that is down is an error of the network", func(t *testing.T) {
		s.control(t, "POST", "/faults", map[string]any{"kind": "refuse"})
		var answer kes.Error
		if err := generate(5 * time.Second); err == nil || errors.As(err, &answer) {
			t.Fatalf("got %v", err)
		}
	})
}
