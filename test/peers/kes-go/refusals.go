package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/minio/kms-go/kes"
)

func checkErrors(s *suite) {
	s.each("Decrypt of what is not authentic is ErrDecrypt", func(ctx context.Context, c caller) error {
		name, other := c.prefix+"decrypt", c.prefix+"other"
		for _, key := range []string{name, other} {
			if err := c.CreateKey(ctx, key); err != nil {
				return err
			}
		}
		ciphertext, err := c.Encrypt(ctx, name, message, keyContext)
		if err != nil {
			return err
		}
		type attempt struct {
			key                 string
			ciphertext, context []byte
		}
		attempts := map[string]attempt{
			"another key":     {other, ciphertext, keyContext},
			"another context": {name, ciphertext, []byte("other")},
			"no context":      {name, ciphertext, nil},
			"no ciphertext":   {name, nil, keyContext},
			"one byte less":   {name, ciphertext[:len(ciphertext)-1], keyContext},
			"one byte more":   {name, append(bytes.Clone(ciphertext), 0), keyContext},
		}
		for i := range ciphertext {
			flipped := bytes.Clone(ciphertext)
			flipped[i] ^= 1
			attempts[fmt.Sprintf("byte %d flipped", i)] = attempt{name, flipped, keyContext}
		}
		for what, try := range attempts {
			_, err := c.Decrypt(ctx, try.key, try.ciphertext, try.context)
			if err := expectError(err, kes.ErrDecrypt); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		return nil
	})
	s.each("a malformed name is refused with 400", func(ctx context.Context, c caller) error {
		for _, name := range []string{c.prefix + "a.b", c.prefix + "a b", c.prefix + "é", c.prefix + strings.Repeat("n", 80)} {
			want := fmt.Sprintf("key name '%s' is empty, too long or contains invalid characters", name)
			if err := expectStatus(c.CreateKey(ctx, name), 400, want); err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
		}
		return nil
	})

	s.check("a call on a key that the policy does not allow is ErrNotAllowed", func(ctx context.Context) error {
		return expectKeyCallsRefused(ctx, s.user.Client, "admin-key")
	})
	s.check("a call on a key that the policy denies is ErrNotAllowed", func(ctx context.Context) error {
		return expectKeyCallsRefused(ctx, s.user.Client, "user-denied")
	})
	s.check("an identity without policy may ask for the version, and nothing else", func(ctx context.Context) error {
		stranger, err := s.newStranger()
		if err != nil {
			return err
		}
		if _, err := stranger.Version(ctx); err != nil {
			return err
		}
		_, _, selfErr := stranger.DescribeSelf(ctx)
		if err := expectError(selfErr, kes.ErrIdentityNotFound); err != nil {
			return fmt.Errorf("DescribeSelf: %w", err)
		}
		if err := expectKeyCallsRefused(ctx, stranger, "user-key"); err != nil {
			return err
		}
		return expectOtherCallsRefused(ctx, stranger)
	})
}

// newStranger makes a client of an API key that the server does not know.
func (s *suite) newStranger() (*kes.Client, error) {
	key, err := kes.GenerateAPIKey(nil)
	if err != nil {
		return nil, err
	}
	certificate, err := kes.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	config := s.tls.Clone()
	config.Certificates = []tls.Certificate{certificate}
	return kes.NewClientWithConfig(s.endpoint, config), nil
}

// expectKeyCallsRefused makes every call on a key.
func expectKeyCallsRefused(ctx context.Context, client *kes.Client, name string) error {
	_, describeErr := client.DescribeKey(ctx, name)
	_, generateErr := client.GenerateKey(ctx, name, nil)
	_, encryptErr := client.Encrypt(ctx, name, message, nil)
	_, decryptErr := client.Decrypt(ctx, name, bytes.Repeat([]byte{1}, 76), nil)
	_, hmacErr := client.HMAC(ctx, name, message)
	_, _, listErr := client.ListKeys(ctx, name, 0)
	return expectNotAllowed(map[string]error{
		"CreateKey":   client.CreateKey(ctx, name),
		"ImportKey":   client.ImportKey(ctx, name, &kes.ImportKeyRequest{Key: importedKey, Cipher: kes.AES256}),
		"DescribeKey": describeErr,
		"GenerateKey": generateErr,
		"Encrypt":     encryptErr,
		"Decrypt":     decryptErr,
		"HMAC":        hmacErr,
		"DeleteKey":   client.DeleteKey(ctx, name),
		"ListKeys":    listErr,
	})
}

// expectOtherCallsRefused makes every call on something else than a key.
func expectOtherCallsRefused(ctx context.Context, client *kes.Client) error {
	_, readyErr := client.IsReady(ctx)
	_, statusErr := client.Status(ctx)
	_, apisErr := client.APIs(ctx)
	_, metricsErr := client.Metrics(ctx)
	_, policyErr := client.DescribePolicy(ctx, "user")
	_, rulesErr := client.GetPolicy(ctx, "user")
	_, _, policiesErr := client.ListPolicies(ctx, "", 0)
	_, identityErr := client.DescribeIdentity(ctx, "nobody")
	_, _, identitiesErr := client.ListIdentities(ctx, "", 0)
	_, auditErr := client.AuditLog(ctx)
	_, errorErr := client.ErrorLog(ctx)
	return expectNotAllowed(map[string]error{
		"IsReady":          readyErr,
		"Status":           statusErr,
		"APIs":             apisErr,
		"Metrics":          metricsErr,
		"DescribePolicy":   policyErr,
		"GetPolicy":        rulesErr,
		"ListPolicies":     policiesErr,
		"DescribeIdentity": identityErr,
		"ListIdentities":   identitiesErr,
		"AuditLog":         auditErr,
		"ErrorLog":         errorErr,
	})
}

func expectNotAllowed(answers map[string]error) error {
	for call, err := range answers {
		if err := expectError(err, kes.ErrNotAllowed); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	return nil
}

func checkLimits(s *suite) {
	s.each("a body of exactly 1000000 bytes is taken, and a longer one refused with 400", func(ctx context.Context, c caller) error {
		name := c.prefix + "limit"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		// Sent as {"plaintext":"<base64>"}: 16 bytes and 4 for each 3 of the plaintext.
		const longest = (1_000_000 - 16) / 4 * 3
		ciphertext, err := c.Encrypt(ctx, name, make([]byte, longest), nil)
		if err != nil {
			return err
		}
		if err := expect(len(ciphertext) == longest+44, "ciphertext of %d bytes", len(ciphertext)); err != nil {
			return err
		}
		_, err = c.Encrypt(ctx, name, make([]byte, longest+1), nil)
		return expectStatus(err, 400, "invalid request body")
	})
	s.each("ciphertexts of large plaintexts come back", func(ctx context.Context, c caller) error {
		return expectRoundTrip(ctx, c, c.prefix+"limit", bytes.Repeat([]byte{7}, 500_000), keyContext)
	})
}
