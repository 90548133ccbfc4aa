package imagechange_test

import (
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/internal/imagechange"
)

type set = map[string]struct{}

func TestApply(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		os      string
		changes []string
		want    imagechange.Config
	}{
		"nothing":               {},
		"empty and comments":    {changes: []string{"", "  # CMD x", "\n"}},
		"CMD for the shell":     {changes: []string{`CMD echo "a  b"`}, want: imagechange.Config{Cmd: []string{"/bin/sh", "-c", `echo "a  b"`}}},
		"CMD on windows":        {os: "windows", changes: []string{`cmd dir`}, want: imagechange.Config{Cmd: []string{"cmd", "/S", "/C", "dir"}}},
		"CMD as JSON":           {changes: []string{`CMD ["/app", "$HOME"]`}, want: imagechange.Config{Cmd: []string{"/app", "$HOME"}}},
		"CMD like JSON":         {changes: []string{`CMD ['/app']`}, want: imagechange.Config{Cmd: []string{"/bin/sh", "-c", `['/app']`}}},
		"the last one counts":   {changes: []string{"USER a", "USER b"}, want: imagechange.Config{User: "b"}},
		"ENTRYPOINT":            {changes: []string{`ENTRYPOINT ["/a"]`, "CMD b"}, want: imagechange.Config{Entrypoint: []string{"/a"}, Cmd: []string{"/bin/sh", "-c", "b"}}},
		"ENV, several":          {changes: []string{`ENV A=1 B="2 3" C='$A' D=4\ 5`}, want: imagechange.Config{Env: []string{"A=1", "B=2 3", "C=$A", "D=4 5"}}},
		"ENV, old form":         {changes: []string{`ENV A b  "c" d`}, want: imagechange.Config{Env: []string{"A=b  c d"}}},
		"ENV replaces":          {changes: []string{"ENV A=1 B=2", "ENV A=3"}, want: imagechange.Config{Env: []string{"A=3", "B=2"}}},
		"variables":             {changes: []string{"ENV A=x E=", `ENV B=$A-${A}$NONE/${NONE:-y$A}${A:+z}${A:-w}${E-u}${E:-v}\$A"$A"`}, want: imagechange.Config{Env: []string{"A=x", "E=", `B=x-x/yxzxv$Ax`}}},
		"within one line":       {changes: []string{"ENV A=1", "LABEL l=$A"}, want: imagechange.Config{Env: []string{"A=1"}, Labels: map[string]string{"l": "1"}}},
		"LABEL":                 {changes: []string{`LABEL a=b "c d"="e f"`, "LABEL g h i"}, want: imagechange.Config{Labels: map[string]string{"a": "b", "c d": "e f", "g": "h i"}}},
		"EXPOSE":                {changes: []string{"EXPOSE 80 53/UDP 8000-8002/tcp"}, want: imagechange.Config{ExposedPorts: set{"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}}},
		"VOLUME":                {changes: []string{`VOLUME /a /b`, `VOLUME ["/c d"]`}, want: imagechange.Config{Volumes: set{"/a": {}, "/b": {}, "/c d": {}}}},
		"WORKDIR":               {changes: []string{"WORKDIR a", "WORKDIR ../../b/./c"}, want: imagechange.Config{WorkingDir: "/b/c"}},
		"USER and STOPSIGNAL":   {changes: []string{"USER 1:2", "STOPSIGNAL SIGRTMIN+3"}, want: imagechange.Config{User: "1:2", StopSignal: "SIGRTMIN+3"}},
		"ONBUILD":               {changes: []string{"ONBUILD RUN make  it", "onbuild ADD . /"}, want: imagechange.Config{OnBuild: []string{"RUN make  it", "ADD . /"}}},
		"HEALTHCHECK NONE":      {changes: []string{"HEALTHCHECK none"}, want: imagechange.Config{Healthcheck: &imagechange.Healthcheck{Test: []string{"NONE"}}}},
		"HEALTHCHECK for shell": {changes: []string{"HEALTHCHECK CMD curl x || exit 1"}, want: imagechange.Config{Healthcheck: &imagechange.Healthcheck{Test: []string{"CMD-SHELL", "curl x || exit 1"}}}},
		"HEALTHCHECK": {
			changes: []string{`HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --start-interval=1ms --retries=4 CMD ["a", "b"]`},
			want: imagechange.Config{Healthcheck: &imagechange.Healthcheck{
				Test: []string{"CMD", "a", "b"}, Interval: 5 * time.Minute, Timeout: 3 * time.Second, StartPeriod: time.Second, StartInterval: time.Millisecond, Retries: 4,
			}},
		},
		"lines that go on": {changes: []string{"ENV A=1 \\\n  B=2\nUSER x"}, want: imagechange.Config{Env: []string{"A=1", "B=2"}, User: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c imagechange.Config
			os := tc.os
			if os == "" {
				os = "linux"
			}
			if err := c.Apply(os, tc.changes...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c); diff != "" {
				t.Error("config (-want +got):\n", diff)
			}
		})
	}
}

func TestApplyErrors(t *testing.T) {
	t.Parallel()
	for change, text := range map[string]string{
		"RUN true":                         "is not a valid change command",
		"\x1b[2J x":                        `"\x1b[2J" is not a valid change command`,
		"CMD":                              "needs an argument",
		`CMD ["a", 1]`:                     "only have strings",
		"ENV A":                            "two arguments",
		"ENV A=1 B":                        "can't find =",
		"ENV =1":                           "can not be blank",
		`ENV A="1`:                         "not closed",
		"ENV A='1":                         "not closed",
		"ENV A=${B":                        "not understood",
		"ENV A=${B:-x":                     "not closed",
		"ENV A=${}":                        "no name",
		"ENV A=${B%x}":                     "not understood",
		"ENV A=${B:}":                      "missing",
		"ENV A=${B:?unset}":                `B: "unset"`,
		"EXPOSE 0x50":                      "invalid containerPort",
		"EXPOSE 70000":                     "invalid containerPort",
		"EXPOSE 9-8":                       "invalid containerPort",
		"EXPOSE 80/icmp":                   "invalid proto",
		"HEALTHCHECK curl":                 "unknown type",
		"HEALTHCHECK CMD":                  "missing command",
		"HEALTHCHECK CMD []":               "missing command",
		"HEALTHCHECK NONE x":               "no arguments",
		"HEALTHCHECK --interval=1us CMD x": "at least 1ms",
		"HEALTHCHECK --retries=-1 CMD x":   "cannot be",
		"HEALTHCHECK --often CMD x":        "unknown flag",
		"ONBUILD onbuild RUN x":            "isn't allowed",
		"ONBUILD from x":                   "isn't allowed",
		"STOPSIGNAL SIGNOT":                "invalid signal",
		"STOPSIGNAL 65":                    "invalid signal",
		`VOLUME [""]`:                      "empty string",
		"WORKDIR $NONE":                    "needs a directory",
		"ENV A=" + strings.Repeat("${B:-", 20) + strings.Repeat("}", 20): "deep",
	} {
		var c imagechange.Config
		if err := c.Apply("linux", change); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want %q", change, err, text)
		}
	}
	var c imagechange.Config
	if err := c.Apply("linux", "USER "+strings.Repeat("x", 1<<20)); !errdefs.IsResourceExhausted(err) {
		t.Errorf("too long: %v", err)
	}
}

// FuzzApply checks that whatever is given is applied or refused, and what was applied does
// not depend on anything else.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{
		`CMD ["a"]`, "ENV A=1 B='x' C=${A:-y}", "HEALTHCHECK --interval=1s CMD x", "EXPOSE 1-65535/udp", "LABEL a b", "ENV A=\"$B\\", "VOLUME [\"/a\"]", "ONBUILD RUN x \\\n y", "WORKDIR \\",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, change string) {
		var a, b imagechange.Config
		errA, errB := a.Apply("linux", change), b.Apply("linux", change)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%v, then %v", errA, errB)
		}
		if errA != nil && !errdefs.IsInvalidArgument(errA) && !errdefs.IsResourceExhausted(errA) {
			t.Fatalf("an error of no kind: %v", errA)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatal(diff)
		}
		if errA == nil && a.WorkingDir != "" && !strings.HasPrefix(a.WorkingDir, "/") {
			t.Fatalf("working directory %q", a.WorkingDir)
		}
	})
}
