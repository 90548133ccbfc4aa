package dir

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, content string
		want          version
		kind          error
	}{
		{"what is written for sha256", "Directory Transport Version: 1.1\n", version{1, 1}, nil},
		{"what is written for others", "Directory Transport Version: 1.2\n", version{1, 2}, nil},
		{"an older version", "Directory Transport Version: 1.0\n", version{1, 0}, nil},
		{"an older major version", "Directory Transport Version: 0.9\n", version{0, 9}, nil},
		{"without the line's end", "Directory Transport Version: 1.1", version{1, 1}, nil},
		{"a newer minor version", "Directory Transport Version: 1.3\n", version{}, errdefs.ErrNotImplemented},
		{"a newer major version", "Directory Transport Version: 2.0\n", version{}, errdefs.ErrNotImplemented},
		{"a minor version that sorts low as text", "Directory Transport Version: 1.10\n", version{}, errdefs.ErrNotImplemented},
		{"empty", "", version{}, errdefs.ErrInvalidArgument},
		{"other text", "1.1\n", version{}, errdefs.ErrInvalidArgument},
		{"no minor version", "Directory Transport Version: 1\n", version{}, errdefs.ErrInvalidArgument},
		{"no numbers", "Directory Transport Version: .\n", version{}, errdefs.ErrInvalidArgument},
		{"a sign", "Directory Transport Version: 1.-1\n", version{}, errdefs.ErrInvalidArgument},
		{"a plus", "Directory Transport Version: +1.1\n", version{}, errdefs.ErrInvalidArgument},
		{"three numbers", "Directory Transport Version: 1.1.0\n", version{}, errdefs.ErrInvalidArgument},
		{"more lines", "Directory Transport Version: 1.1\n\n", version{}, errdefs.ErrInvalidArgument},
		{"a number beyond 31 bits", "Directory Transport Version: 1.4294967297\n", version{}, errdefs.ErrInvalidArgument},
		{"a carriage return", "Directory Transport Version: 1.1\r\n", version{}, errdefs.ErrInvalidArgument},
		{"verbs and control characters", "%s%n\x1b[2J" + strings.Repeat("x", 300), version{}, errdefs.ErrInvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseVersion(tt.content)
			if tt.kind != nil {
				wantError(t, err, tt.kind, "ersion")
				if err != nil && (len(err.Error()) > 512 || strings.Contains(err.Error(), "\x1b")) {
					t.Errorf("the message shows untrusted text as it is: %q", err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	if got, want := string(sha256Version().content()), "Directory Transport Version: 1.1\n"; got != want {
		t.Errorf("version 1.1 is written %q, want %q", got, want)
	}
}
