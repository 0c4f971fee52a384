package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/minio/kms-go/kes"
)

var (
	message     = []byte("the quick brown fox")
	keyContext  = []byte(`{"bucket":"bucket/object"}`)
	importedKey = bytes.Repeat([]byte{0x5a}, 32)
)

func checkKeys(s *suite) {
	s.each("CreateKey makes a key that DescribeKey knows", func(ctx context.Context, c caller) error {
		name := c.prefix + "create"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		info, err := c.DescribeKey(ctx, name)
		if err != nil {
			return err
		}
		isRecent := time.Since(info.CreatedAt) < time.Minute && time.Until(info.CreatedAt) < time.Second
		return expect(
			info.Name == name && info.Algorithm == kes.AES256 && info.CreatedBy == c.identity && isRecent,
			"%+v", *info,
		)
	})
	s.each("CreateKey of an existing key is ErrKeyExists", func(ctx context.Context, c caller) error {
		return expectError(c.CreateKey(ctx, c.prefix+"create"), kes.ErrKeyExists)
	})

	s.each("ImportKey keeps the key and its algorithm", func(ctx context.Context, c caller) error {
		for cipher, name := range map[kes.KeyAlgorithm]string{kes.AES256: "aes", kes.ChaCha20: "chacha"} {
			request := &kes.ImportKeyRequest{Key: importedKey, Cipher: cipher}
			if err := c.ImportKey(ctx, c.prefix+name, request); err != nil {
				return fmt.Errorf("%v: %w", cipher, err)
			}
			info, err := c.DescribeKey(ctx, c.prefix+name)
			if err != nil {
				return err
			}
			if err := expect(info.Algorithm == cipher, "%+v", *info); err != nil {
				return err
			}
			if err := expectRoundTrip(ctx, c, c.prefix+name, message, keyContext); err != nil {
				return fmt.Errorf("%v: %w", cipher, err)
			}
		}
		return nil
	})
	s.each("ImportKey of an existing key is ErrKeyExists", func(ctx context.Context, c caller) error {
		request := &kes.ImportKeyRequest{Key: importedKey, Cipher: kes.AES256}
		return expectError(c.ImportKey(ctx, c.prefix+"aes", request), kes.ErrKeyExists)
	})
	s.each("ImportKey of 31 bytes is refused with 406", func(ctx context.Context, c caller) error {
		request := &kes.ImportKeyRequest{Key: importedKey[:31], Cipher: kes.AES256}
		return expectStatus(c.ImportKey(ctx, c.prefix+"short", request), 406, "invalid key size for 'AES256'")
	})
	s.each("a ciphertext of an imported key opens without the server", func(ctx context.Context, c caller) error {
		ciphertext, err := c.Encrypt(ctx, c.prefix+"aes", message, keyContext)
		if err != nil {
			return err
		}
		plaintext, err := openAES(importedKey, ciphertext, keyContext)
		if err != nil {
			return err
		}
		return expect(bytes.Equal(plaintext, message), "got %q", plaintext)
	})

	s.each("GenerateKey gives a new data key that Decrypt opens", func(ctx context.Context, c caller) error {
		for _, context := range [][]byte{nil, {}, keyContext} {
			first, err := c.GenerateKey(ctx, c.prefix+"create", context)
			if err != nil {
				return err
			}
			second, err := c.GenerateKey(ctx, c.prefix+"create", context)
			if err != nil {
				return err
			}
			opened, err := c.Decrypt(ctx, c.prefix+"create", first.Ciphertext, context)
			if err != nil {
				return err
			}
			isNew := !bytes.Equal(first.Plaintext, second.Plaintext)
			if err := expect(
				len(first.Plaintext) == 32 && len(first.Ciphertext) == 76 && isNew && bytes.Equal(opened, first.Plaintext),
				"%d and %d bytes, new %t, opened %d bytes", len(first.Plaintext), len(first.Ciphertext), isNew, len(opened),
			); err != nil {
				return err
			}
		}
		return nil
	})
	s.each("Decrypt returns what Encrypt was given", func(ctx context.Context, c caller) error {
		for _, plaintext := range [][]byte{nil, {0}, message, bytes.Repeat([]byte{0xff}, 100_000)} {
			for _, context := range [][]byte{nil, keyContext} {
				if err := expectRoundTrip(ctx, c, c.prefix+"create", plaintext, context); err != nil {
					return fmt.Errorf("%d bytes: %w", len(plaintext), err)
				}
			}
		}
		return nil
	})
	s.each("HMAC is a function of key and message", func(ctx context.Context, c caller) error {
		sums := map[string]string{}
		for _, key := range []string{"create", "aes"} {
			for _, text := range []string{"", "a", "b"} {
				first, err := c.HMAC(ctx, c.prefix+key, []byte(text))
				if err != nil {
					return err
				}
				second, err := c.HMAC(ctx, c.prefix+key, []byte(text))
				if err != nil {
					return err
				}
				if err := expect(len(first) == 32 && hmac.Equal(first, second), "%x then %x", first, second); err != nil {
					return err
				}
				sums[string(first)] = key + text
			}
		}
		return expect(len(sums) == 6, "%d different values of 6", len(sums))
	})

	s.each("a deleted key is ErrKeyNotFound in every call", func(ctx context.Context, c caller) error {
		name := c.prefix + "delete"
		if err := c.CreateKey(ctx, name); err != nil {
			return err
		}
		key, err := c.GenerateKey(ctx, name, nil)
		if err != nil {
			return err
		}
		if err := c.DeleteKey(ctx, name); err != nil {
			return err
		}
		return expectNotFound(ctx, c, name, key.Ciphertext)
	})
	s.each("a key that never was is ErrKeyNotFound in every call", func(ctx context.Context, c caller) error {
		return expectNotFound(ctx, c, c.prefix+"never", bytes.Repeat([]byte{1}, 76))
	})
}

func expectRoundTrip(ctx context.Context, c caller, name string, plaintext, context []byte) error {
	ciphertext, err := c.Encrypt(ctx, name, plaintext, context)
	if err != nil {
		return err
	}
	if err := expect(len(ciphertext) == len(plaintext)+44, "ciphertext of %d bytes", len(ciphertext)); err != nil {
		return err
	}
	opened, err := c.Decrypt(ctx, name, ciphertext, context)
	if err != nil {
		return err
	}
	return expect(bytes.Equal(opened, plaintext), "decrypted to other %d bytes", len(opened))
}

func expectNotFound(ctx context.Context, c caller, name string, ciphertext []byte) error {
	_, describeErr := c.DescribeKey(ctx, name)
	_, generateErr := c.GenerateKey(ctx, name, nil)
	_, encryptErr := c.Encrypt(ctx, name, message, nil)
	_, decryptErr := c.Decrypt(ctx, name, ciphertext, nil)
	_, hmacErr := c.HMAC(ctx, name, message)
	deleteErr := c.DeleteKey(ctx, name)
	for call, err := range map[string]error{
		"DescribeKey": describeErr, "GenerateKey": generateErr, "Encrypt": encryptErr,
		"Decrypt": decryptErr, "HMAC": hmacErr, "DeleteKey": deleteErr,
	} {
		if err := expectError(err, kes.ErrKeyNotFound); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	return nil
}

// openAES opens C ‖ tag (16) ‖ iv (16) ‖ nonce (12), sealed by AES-256-GCM under HMAC-SHA-256(key, iv).
func openAES(key, ciphertext, context []byte) ([]byte, error) {
	split := len(ciphertext) - 28
	if split < 16 {
		return nil, fmt.Errorf("ciphertext of %d bytes", len(ciphertext))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(ciphertext[split : split+16])
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, ciphertext[split+16:], ciphertext[:split], context)
}
