package main

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"time"

	"github.com/minio/kms-go/kes"
)

const userPolicy, emptyPolicy, nowhere = "user", "empty", "nowhere"

func checkPolicies(s *suite) {
	s.each("DescribePolicy tells name, date and maker", func(ctx context.Context, c caller) error {
		info, err := c.DescribePolicy(ctx, userPolicy)
		if err != nil {
			return err
		}
		return expect(info.Name == userPolicy && isRecent(info.CreatedAt) && info.CreatedBy == s.admin.identity, "%+v", *info)
	})
	s.each("GetPolicy gives rules that decide as the server does", func(ctx context.Context, c caller) error {
		policy, err := c.GetPolicy(ctx, userPolicy)
		if err != nil {
			return err
		}
		if err := expect(isRecent(policy.CreatedAt) && policy.CreatedBy == s.admin.identity, "%+v", *policy); err != nil {
			return err
		}
		return expectUserPolicy(policy)
	})
	s.each("GetPolicy of a policy without rules gives one that refuses", func(ctx context.Context, c caller) error {
		policy, err := c.GetPolicy(ctx, emptyPolicy)
		if err != nil {
			return err
		}
		return expect(len(policy.Allow) == 0 && len(policy.Deny) == 0, "%+v", *policy)
	})
	s.each("ListPolicies lists sorted names by prefix", func(ctx context.Context, c caller) error {
		for prefix, want := range map[string][]string{"": {emptyPolicy, userPolicy}, "us": {userPolicy}, "us*": {userPolicy}, "x": nil} {
			names, next, err := c.ListPolicies(ctx, prefix, 0)
			if err != nil {
				return err
			}
			if fmt.Sprint(names) != fmt.Sprint(want) || next != "" {
				return fmt.Errorf("%q: %q, then %q", prefix, names, next)
			}
		}
		names, err := collect(ctx, c.ListPolicies, "")
		if err != nil {
			return err
		}
		return expect(len(names) == 2, "ListIter: %q", names)
	})
	s.each("a policy that is not there is ErrPolicyNotFound", func(ctx context.Context, c caller) error {
		_, describeErr := c.DescribePolicy(ctx, nowhere)
		_, getErr := c.GetPolicy(ctx, nowhere)
		if err := expectError(describeErr, kes.ErrPolicyNotFound); err != nil {
			return err
		}
		return expectError(getErr, kes.ErrPolicyNotFound)
	})

	s.each("DescribeIdentity tells the admin from the user", func(ctx context.Context, c caller) error {
		admin, err := c.DescribeIdentity(ctx, s.admin.identity)
		if err != nil {
			return err
		}
		user, err := c.DescribeIdentity(ctx, s.user.identity)
		if err != nil {
			return err
		}
		isAdmin := admin.IsAdmin && admin.Policy == "" && isRecent(admin.CreatedAt)
		isUser := !user.IsAdmin && user.Policy == userPolicy && isRecent(user.CreatedAt) && user.CreatedBy == s.admin.identity
		return expect(isAdmin && isUser, "admin %+v, user %+v", *admin, *user)
	})
	s.each("an identity that is not there is ErrIdentityNotFound", func(ctx context.Context, c caller) error {
		_, err := c.DescribeIdentity(ctx, nowhere)
		return expectError(err, kes.ErrIdentityNotFound)
	})
	s.each("ListIdentities lists all, sorted, and by prefix", func(ctx context.Context, c caller) error {
		want := []string{s.admin.identity.String(), s.user.identity.String()}
		sort.Strings(want)
		identities, next, err := c.ListIdentities(ctx, "", 0)
		if err != nil {
			return err
		}
		if err := expect(fmt.Sprint(identities) == fmt.Sprint(want) && next == "", "%q, then %q", identities, next); err != nil {
			return err
		}
		identities, err = collect(ctx, c.ListIdentities, c.identity.String()[:12])
		if err != nil {
			return err
		}
		return expect(len(identities) == 1 && identities[0] == c.identity, "by prefix: %q", identities)
	})
	s.check("DescribeSelf tells the admin", func(ctx context.Context) error {
		info, policy, err := s.admin.DescribeSelf(ctx)
		if err != nil {
			return err
		}
		return expect(
			info.Identity == s.admin.identity && info.IsAdmin && isRecent(info.CreatedAt),
			"%+v, policy %+v", *info, policy,
		)
	})
	s.check("DescribeSelf tells the user, with the policy", func(ctx context.Context) error {
		info, policy, err := s.user.DescribeSelf(ctx)
		if err != nil {
			return err
		}
		isUser := info.Identity == s.user.identity && !info.IsAdmin && info.Policy == userPolicy
		if err := expect(isUser && isRecent(info.CreatedAt) && info.CreatedBy == s.admin.identity, "%+v", *info); err != nil {
			return err
		}
		if policy == nil {
			return fmt.Errorf("no policy")
		}
		return expectUserPolicy(policy)
	})
}

func expectUserPolicy(policy *kes.Policy) error {
	for path, isAllowed := range map[string]bool{
		"/v1/key/create/user-a":        true,
		"/v1/key/decrypt/user-":        true,
		"/v1/status":                   true,
		"/v1/key/create/user-denied":   false,
		"/v1/key/generate/user-denied": false,
		"/v1/key/create/admin-a":       false,
		"/v1/key/list/":                false,
	} {
		request, err := http.NewRequest(http.MethodGet, "https://localhost"+path, nil)
		if err != nil {
			return err
		}
		if err := policy.Verify(request); (err == nil) != isAllowed {
			return fmt.Errorf("%s: %v", path, err)
		}
	}
	return nil
}

func isRecent(at time.Time) bool {
	return time.Since(at) < time.Minute && time.Until(at) < time.Second
}
