package main

import (
	"context"
	"fmt"

	"github.com/minio/kms-go/kes"
)

func checkLocking(s *suite) {
	s.each("every use of a disabled key is ErrNotAllowed until it is enabled", func(ctx context.Context, c caller) error {
		name := c.prefix + "locked"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		key, err := c.GenerateKey(ctx, name, keyContext)
		if err != nil {
			return err
		}
		if err := s.put(ctx, c, "/v1/key/disable/"+name); err != nil {
			return err
		}
		if err := expectUsesRefused(ctx, c, name, key.Ciphertext); err != nil {
			return err
		}
		if _, err := c.DescribeKey(ctx, name); err != nil {
			return fmt.Errorf("DescribeKey of a disabled key: %w", err)
		}
		if err := expectError(c.CreateKey(ctx, name), kes.ErrKeyExists); err != nil {
			return fmt.Errorf("CreateKey of a disabled key: %w", err)
		}
		names, _, err := c.ListKeys(ctx, name, 0)
		if err != nil || len(names) != 1 {
			return fmt.Errorf("ListKeys of a disabled key: %q, %v", names, err)
		}
		if err := s.put(ctx, c, "/v1/key/enable/"+name); err != nil {
			return err
		}
		plaintext, err := c.Decrypt(ctx, name, key.Ciphertext, keyContext)
		if err != nil {
			return err
		}
		return expect(string(plaintext) == string(key.Plaintext), "the data key changed")
	})
	s.each("a disabled key can be deleted", func(ctx context.Context, c caller) error {
		name := c.prefix + "locked"
		if err := s.put(ctx, c, "/v1/key/disable/"+name); err != nil {
			return err
		}
		if err := c.DeleteKey(ctx, name); err != nil {
			return err
		}
		_, err := c.GenerateKey(ctx, name, nil)
		return expectError(err, kes.ErrKeyNotFound)
	})
	s.check("a key that one caller disables is disabled for the other", func(ctx context.Context) error {
		const name = "user-shared"
		if err := s.user.CreateKey(ctx, name); err != nil {
			return err
		}
		key, err := s.user.GenerateKey(ctx, name, keyContext)
		if err != nil {
			return err
		}
		for i := range 50 {
			if err := s.put(ctx, s.admin, "/v1/key/disable/"+name); err != nil {
				return err
			}
			if err := expectUsesRefused(ctx, s.user, name, key.Ciphertext); err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
			if err := s.put(ctx, s.admin, "/v1/key/enable/"+name); err != nil {
				return err
			}
			if _, err := s.user.Decrypt(ctx, name, key.Ciphertext, keyContext); err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
		}
		return nil
	})
}

func expectUsesRefused(ctx context.Context, c caller, name string, ciphertext []byte) error {
	_, generateErr := c.GenerateKey(ctx, name, nil)
	_, encryptErr := c.Encrypt(ctx, name, message, nil)
	_, decryptErr := c.Decrypt(ctx, name, ciphertext, keyContext)
	_, hmacErr := c.HMAC(ctx, name, message)
	return expectNotAllowed(map[string]error{
		"GenerateKey": generateErr, "Encrypt": encryptErr, "Decrypt": decryptErr, "HMAC": hmacErr,
	})
}
