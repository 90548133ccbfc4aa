package hosts

import (
	"fmt"
	"strings"

	"github.com/dhowhq/dhow/ref"
)

// ShortNameMode is what is done with a short name that has no alias and may be in
// several registries.
type ShortNameMode string

// The modes of registries.conf.
const (
	// Enforcing has a person choose, and is an error where there is none.
	Enforcing ShortNameMode = "enforcing"
	// Permissive has a person choose, and tries all registries where there is none.
	Permissive ShortNameMode = "permissive"
	// Disabled tries all registries.
	Disabled ShortNameMode = "disabled"
)

// ShortNameMode returns the mode that is configured, Permissive if none is.
func (c *Config) ShortNameMode() ShortNameMode {
	if c.conf.mode == "" {
		return Permissive
	}
	return c.conf.mode
}

// Resolve returns what a name may mean that has no host: its alias, or else the
// repository of that name in each registry of unqualified-search-registries, in
// order, with the tag and digest of the name. Where neither is configured it is
// the repository in Docker Hub, as ref.Parse has it. A name with a host means
// itself. Which of several is taken is for the caller to decide, by the
// ShortNameMode. A name that is not valid is errdefs.ErrInvalidArgument.
func (c *Config) Resolve(short string) ([]ref.Reference, error) {
	hub, err := ref.Parse(short)
	if err != nil {
		return nil, err
	}
	repository := shortRepository(short, hub)
	if repository == "" {
		return []ref.Reference{hub}, nil
	}
	if full := c.conf.aliases[repository]; full != "" {
		r, err := withSuffix(full, hub)
		if err != nil {
			return nil, fmt.Errorf("the alias of %s: %w", repository, err)
		}
		return []ref.Reference{r}, nil
	}
	if len(c.conf.search) == 0 {
		return []ref.Reference{hub}, nil
	}
	all := make([]ref.Reference, 0, len(c.conf.search))
	for _, host := range c.conf.search {
		r, err := withSuffix(host+"/"+repository, hub)
		if err != nil {
			return nil, fmt.Errorf("%s in the registry %s of %s: %w", repository, host, c.conf.searchFrom, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// shortRepository returns the repository of a valid name that has no host, or "".
func shortRepository(s string, parsed ref.Reference) string {
	s, _, _ = strings.Cut(s, "@")
	if tag := parsed.Tag(); tag != "" {
		s = strings.TrimSuffix(s, ":"+tag)
	}
	first, _, inside := strings.Cut(s, "/")
	if inside && isHost(strings.ToLower(first)) {
		return ""
	}
	return s
}

// withSuffix returns a repository with the tag and digest of a name.
func withSuffix(repository string, name ref.Reference) (ref.Reference, error) {
	r, err := ref.Parse(repository)
	if err == nil && name.Tag() != "" {
		r, err = r.WithTag(name.Tag())
	}
	if err == nil && name.Digest() != "" {
		r, err = r.WithDigest(name.Digest())
	}
	return r, err
}
