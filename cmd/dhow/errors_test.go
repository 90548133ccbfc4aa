package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestExitCodeAndErrorLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		name string
		args string
		code int
		want string // the error is "dhow: " and this; … stands for what is not compared
	}{
		{"reference without transport", "copy layout oci:out:x", 1,
			`invalid image name "layout", expected colon-separated transport:reference; as an image in a registry it is docker://layout: invalid argument`},
		{"image of a store that is not there", "--root nope inspect foo:bar", 2,
			`image "foo:bar"; as an image in a registry it is docker://foo:bar: there is no store in …/nope: not found`},
		{"setting of a place for an image here", "--root nope inspect --last-wins foo:bar", 1,
			`image "foo:bar" of the local store: --last-wins goes with oci: and archives only: invalid argument`},
		{"unknown transport of the destination", "copy oci:layout:latest foo:bar", 1,
			`invalid image name "foo:bar", unknown transport "foo" (there are: dir, docker, docker-archive, oci, oci-archive, store); as an image in a registry it is docker://foo:bar: invalid argument`},
		{"hostile reference", "copy \x1b[2Jx:\u202e oci:out:x", 1,
			`invalid image name "\x1b[2Jx:\u202e", unknown transport "\x1b[2Jx" (there are: dir, docker, docker-archive, oci, oci-archive, store): invalid argument`},
		{"empty details", "inspect dir:", 1, `dir: the path is empty: invalid argument`},
		{"layout that is not there", "inspect oci:nope:latest", 2, `opening oci:nope:latest: no directory nope: not found`},
		{"directory that is not there", "inspect dir:nope", 2, `dir:nope: opening the directory: there is none: not found`},
		{"directory without an image", "inspect dir:layout", 2,
			`dir:layout: reading the image: this is no image directory: no file manifest.json: not found`},
		{"name that is not there", "inspect oci:layout:nope", 2, `…no descriptor found for reference "nope"…: not found`},
		{"entry that is not there", "inspect oci:layout:@99", 2, `…there is no entry 99…: not found`},
		{"platform that is not there", "copy --platform linux/mips oci:layout:latest oci:out:x", 2,
			`…no instance for linux/mips (there are: linux/amd64, linux/arm64/v8, linux/arm/v7, windows(10.0.20348.1)/amd64): not found`},
		{"instance that is not there", "copy --instance sha256:" + strings.Repeat("0", 64) + " oci:layout:latest oci:out:x", 2, `…: not found`},
		{"config of a platform that is not there", "inspect --config --platform linux/mips oci:layout:latest", 2, `…: not found`},
		{"name of two images", "inspect oci:layout:twice", 1, `…: invalid argument`},
		{"no choice among several images", "inspect oci:layout", 1, `…more than one image in oci, choose an image…: invalid argument`},
		{"layer that does not match", "copy -q oci:layout:damaged oci:out:x", 3, `…: data loss`},
		{"missing instance", "copy -q oci:layout:sparse oci:out:x", 1, `…is missing at the source; an absent instance can be kept or stripped…`},
		{"destination without parent", "copy -q oci:layout:latest dir:no/such/dir", 1, `opening the destination: …`},
		{"file that is not there", "digest nope", 2, `no file "nope": not found`},
		{"unknown algorithm", "digest --algorithm md5 layout/index.json", 1,
			`unknown digest algorithm "md5" (there are: sha256, sha384, sha512): invalid argument`},
		{"file that is too large", "--max-manifest-size 10B digest layout/index.json", 1,
			`"layout/index.json" has more than 10 bytes, the limit for a manifest: resource exhausted`},
		{"manifest that is too large", "--max-manifest-size 100 inspect oci:layout:latest", 1, `…: resource exhausted`},
		{"config that is too large", "--max-config-size 100 inspect oci:layout:single", 1, `…: resource exhausted`},
		{"size that is none", "--max-config-size 1.5MiB version", 1,
			`invalid argument "1.5MiB" for "--max-config-size" flag: a size is a whole number of bytes from 1 to 1073741824, maybe with a unit as in 8MiB: invalid argument`},
		{"unknown command", "clone", 1, `unknown command "clone" for "dhow"`},
		{"unknown flag", "copy --nope", 1, `unknown flag: --nope`},
		{"too few arguments", "copy oci:layout:latest", 1,
			`copy takes 2 arguments, SOURCE DESTINATION, but was given 1: invalid argument`},
		{"no argument", "inspect", 1, `inspect takes 1 argument, IMAGE, but was given 0: invalid argument`},
		{"too many arguments", "version x", 1, `version takes no arguments but was given 1: invalid argument`},
		{"help on an unknown command", "help clone", 1, `unknown command "clone" for "dhow"`},
		{"help on too many commands", "help copy clone", 1, `unknown command "clone" for "dhow copy"`},
		{"no platform", "copy --platform= oci:layout:latest oci:out:x", 1, `--platform is empty: invalid argument`},
		{"no platform among others", "copy --platform linux/amd64 --platform= oci:layout:latest oci:out:x", 1, `--platform is empty: invalid argument`},
		{"no platform to inspect", "inspect --platform= oci:layout:latest", 1, `--platform is empty: invalid argument`},
		{"no format", "copy --format= oci:layout:latest oci:out:x", 1, `--format is empty: invalid argument`},
		{"no template", "inspect --format= oci:layout:latest", 1, `--format is empty: invalid argument`},
		{"no receipt", "copy --receipt= oci:layout:latest oci:out:x", 1, `--receipt is empty: invalid argument`},
		{"no log level", "--log-level= version", 1, `--log-level is empty: invalid argument`},
		{"less than one at once", "copy --parallel -1 oci:layout:latest oci:out:x", 1, `--parallel: -1 is less than 1: invalid argument`},
		{"unknown log level", "--log-level loud version", 1,
			`unknown log level "loud" (there are: debug, info, warn, error): invalid argument`},
		{"unknown format", "copy --format v2s1 oci:layout:latest oci:out:x", 1, `unknown format "v2s1" (there are: oci, v2s2): invalid argument`},
		{"unknown progress", "copy --progress fancy oci:layout:latest oci:out:x", 1,
			`unknown progress "fancy" (there are: auto, bars, plain, json, none): invalid argument`},
		{"malformed instance", "copy --instance sha256:12 oci:layout:latest oci:out:x", 1, `--instance: …: invalid argument`},
		{"malformed platform", "copy --platform linux/ oci:layout:latest oci:out:x", 1, `--platform: …: invalid argument`},
		{"malformed platform to inspect", "inspect --platform / oci:layout:latest", 1, `--platform: …: invalid argument`},
		{"malformed template", "inspect --format {{ oci:layout:latest", 1, `--format: …: invalid argument`},
		{"template of what is not there", "inspect --format {{.Nope}} oci:layout:latest", 1, `--format: …: invalid argument`},
		{"unknown shell", "completion csh", 1, `unknown shell "csh" (there are: bash, zsh, fish, powershell): invalid argument`},
		{"shared blobs of a directory", "copy --dest-shared-blob-dir x oci:layout:latest dir:out", 1,
			`opening the destination: a shared blob directory goes with oci: only: invalid argument`},
		{"blobs that a layout shall verify as a registry", "copy --verify destination oci:layout:latest oci:out:x", 1,
			`opening the destination: --verify destination goes with a docker: destination only: invalid argument`},
		{"blobs that a directory shall verify as a registry", "copy --verify=destination oci:layout:latest dir:out", 1,
			`opening the destination: --verify destination goes with a docker: destination only: invalid argument`},
		{"unknown place to verify", "copy --verify there oci:layout:latest oci:out:x", 1, `--verify: unknown place "there" (there are: here, destination): invalid argument`},
		{"foreign layers of a layout", "copy --include-foreign oci:layout:latest oci:out:x", 1, `opening the source: --include-foreign goes with docker: only: invalid argument`},
		{"fewer than no retries", "tags --retry-times -1 example.com/a", 1, `--retry-times: -1 is not from 0 to 100: invalid argument`},
		{"very many retries", "copy --retry-times 101 oci:layout:latest oci:out:x", 1, `--retry-times: 101 is not from 0 to 100: invalid argument`},
		{"password without a name", "tags --password x example.com/a", 1, `--password goes with --username: invalid argument`},
		{"two logins", "copy --dest-registry-token x --dest-username y oci:layout:latest docker://example.com/a", 1,
			`--dest-username and --dest-registry-token contradict one another: invalid argument`},
		{"login without a name", "tags --creds :x example.com/a", 1, `--creds has an empty user or password: invalid argument`},
		{"login without a password", "copy --src-creds x: docker://example.com/a oci:out:x", 1, `--src-creds has an empty user or password: invalid argument`},
		{"tags of an image", "tags docker://example.com/a:1", 1, `"docker://example.com/a:1" has a tag or digest, which a repository has not: invalid argument`},
		{"tags of a layout", "tags oci:layout", 1, `"oci:layout" has a tag or digest, which a repository has not: invalid argument`},
		{"repositories of a repository", "repos example.com/a", 1, `"example.com/a" is not the name of a registry alone: invalid argument`},
		{"login at a URL", "login -u me https://example.com", 1, `a registry is named HOST or HOST:PORT, and not by a URL (not shown): invalid argument`},
		{"trusted realm that is a URL", "tags --trusted-realms https://example.com example.com/a", 1, `…trusted-realms[0] = "https://example.com": "https://example.com" is no host`},
		{"store that is not there", "--root nope store info", 2, `there is no store in …/nope: not found`},
		{"store that is not there to be checked", "fsck --repair --root nope", 2, `there is no store in …/nope: not found`},
		{"store that is not there to be freed", "gc --root nope", 2, `there is no store in …/nope: not found`},
		{"store that is a file", "--root layout/index.json store info", 1, `looking for a store in …/layout/index.json: it is a regular file, not a directory: failed precondition`},
		{"store below a file", "--root layout/index.json/x store info", 1, `looking for a store in …/layout/index.json/x: stat …/layout/index.json/x: not a directory`},
		{"no root", "--root= store info", 1, `--root is empty: invalid argument`},
		{"no engine", "--store= version", 1, `--store is empty: invalid argument`},
		{"unknown engine", "--store docker version", 1,
			`--store: unknown engine "docker" (there are: embedded, containerd:///SOCKET?namespace=NAME): invalid argument`},
		{"engine with something after it", "--store embedded: version", 1,
			`--store: unknown engine "embedded:" (there are: embedded, containerd:///SOCKET?namespace=NAME): invalid argument`},
		{"containerd on another machine", "--store containerd://host/c.sock version", 1,
			`--store: address "containerd://host/c.sock" is not containerd:///PATH?namespace=NAME: invalid argument`},
		{"namespace that is none", "--store containerd:///c.sock?namespace=../x version", 1,
			`--store: address "containerd:///c.sock?namespace=../x": namespace "../x" is not letters and digits joined by one of . _ -: invalid argument`},
		{"directory of containerd", "--root x --store containerd:///c.sock store info", 1, `--root goes with --store embedded only: invalid argument`},
		{"lock of containerd", "--store-wait 1s --store containerd:///c.sock store info", 1, `--store-wait goes with --store embedded only: invalid argument`},
		{"check of containerd", "--store containerd:///c.sock fsck", 1, `a store in containerd cannot be checked, damage is found where it is read: not implemented`},
		{"to wait less than not at all", "--store-wait -1s version", 1, `--store-wait: -1s is less than 0: invalid argument`},
		{"to wait for no time", "--store-wait 10 version", 1, `invalid argument "10" for "--store-wait" flag: …`},
		{"unknown command of store", "store clone", 1, `unknown command "clone" for "dhow store"`},
		{"store info of something", "store info x", 1, `info takes no arguments but was given 1: invalid argument`},
		{"receipt in no directory", "copy --receipt no/such/file oci:layout:latest oci:out:x", 1, `receipt: …`},
		{"receipt where no file can be", "copy --receipt /proc/receipt oci:layout:latest oci:out:x", 1,
			`receipt: making a directory for new files in /proc: …`},
		{"receipt that is a directory", "copy --receipt layout oci:layout:latest oci:out:x", 1, `receipt: "layout" is a directory`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := w.run(t, strings.Split(tc.args, " ")...)
			if r.code != tc.code {
				t.Errorf("exit code %d, want %d", r.code, tc.code)
			}
			if r.stdout != "" {
				t.Errorf("standard output is %q", r.stdout)
			}
			if want := "dhow: " + tc.want + "\n"; !matches(want, r.stderr) {
				t.Errorf("standard error is\n%swant\n%s", r.stderr, want)
			}
		})
	}
	if _, err := os.Stat(w.dir + "/out/index.json"); err == nil {
		t.Error("a copy that failed left a layout with an index")
	}
}

// matches compares text with a pattern in which … stands for anything on one line.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "…")
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, p := range parts[1:] {
		i := strings.LastIndex(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return text == ""
}

func TestFlagsThatContradict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct{ command, flags, want string }{
		{"copy", "--all --index-only", "--all and --index-only contradict one another"},
		{"copy", "--all --platform linux/amd64", "--all and --platform contradict one another"},
		{"copy", "--index-only --platform linux/amd64", "--index-only and --platform contradict one another"},
		{"copy", "--all --instance sha256:x", "--all and --instance contradict one another"},
		{"copy", "--index-only --strip", "--index-only and --strip contradict one another"},
		{"copy", "--sparse --strip --platform linux/amd64", "--sparse and --strip contradict one another"},
		{"copy", "--all --prefer-gzip", "--all and --prefer-gzip contradict one another"},
		{"copy", "--compatible", "--compatible goes with --platform"},
		{"copy", "--prefer-gzip", "--prefer-gzip goes with --platform"},
		{"copy", "--drop-attestations", "--drop-attestations goes with --format v2s2"},
		{"copy", "--drop-attestations --format oci", "--drop-attestations goes with --format v2s2"},
		{"copy", "-q --progress json", "--quiet and --progress contradict one another"},
		{"copy", "--dry-run --receipt x", "--dry-run and --receipt contradict one another"},
		{"copy", "--json --receipt -", "--json and --receipt both write to standard output"},
		{"pull", "--all --platform linux/amd64", "--all and --platform contradict one another"},
		{"pull", "-q --progress json", "--quiet and --progress contradict one another"},
		{"push", "--all --platform linux/amd64", "--all and --platform contradict one another"},
		{"push", "--verify there", `--verify: unknown place "there" (there are: here, destination)`},
		{"images", "-q --json", "--quiet and --json contradict one another"},
		{"images", "--tree --digests", "--tree and --digests contradict one another"},
		{"history", "--json --format x", "--json and --format contradict one another"},
		{"inspect", "--raw --json", "--raw and --json contradict one another"},
		{"inspect", "--json --format x", "--json and --format contradict one another"},
		{"inspect", "--config --json", "--config and --json contradict one another"},
		{"inspect", "--config --raw --format x", "--raw and --format contradict one another"},
	} {
		t.Run(tc.command+" "+tc.flags, func(t *testing.T) {
			t.Parallel()
			args := append([]string{tc.command}, strings.Split(tc.flags, " ")...)
			args = append(args, "oci:layout:latest")
			if tc.command == "copy" {
				args = append(args, "oci:out:x")
			}
			r := w.run(t, args...)
			if want := "dhow: " + tc.want + ": invalid argument\n"; r.code != 1 || r.stdout != "" || r.stderr != want {
				t.Errorf("got %+v, want exit code 1 and %q", r, want)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	wrap := func(kinds ...error) error {
		err := errors.New("base")
		for _, k := range kinds {
			err = fmt.Errorf("wrapped: %w: %w", err, k)
		}
		return err
	}
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{wrap(), 1},
		{wrap(errdefs.ErrInvalidArgument), 1},
		{wrap(errdefs.ErrUnavailable), 1},
		{wrap(context.Canceled), 1},
		{wrap(errdefs.ErrNotFound), 2},
		{wrap(errdefs.ErrDataLoss), 3},
		{errors.Join(wrap(errdefs.ErrNotFound), wrap(errdefs.ErrDataLoss)), 3},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("exit code of %v is %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestErrorLineIsOneHarmlessLine(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("one \x1b[2J"), errors.New("two"))
	if got, want := errorLine(t.Context(), err), `dhow: one \x1b[2J; two`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What went wrong before standard output did is told, and counts.
func TestRemovalsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	w := newWorld(t)
	w.must(t, "--root", "store", "pull", "-q", "oci:layout:single", "app:1")
	var stderr strings.Builder
	cmd := w.command(t, "--root", "store", "rmi", "nope:1", "app:1")
	cmd.Stdout, cmd.Stderr = full, &stderr
	_ = cmd.Run() // the exit code says it
	if got := stderr.String(); cmd.ProcessState.ExitCode() != exitNotFound || !strings.Contains(got, "nope:1") || !strings.Contains(got, "no space left on device") {
		t.Errorf("exit code %d, %q", cmd.ProcessState.ExitCode(), got)
	}
}

// What had failed before a command was stopped is told beside that.
func TestErrorsBeforeAnInterrupt(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errors.New("interrupt signal received"))
	stopped := fmt.Errorf("removing b: %w", context.Canceled)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{stopped, "dhow: stopped: interrupt signal received"},
		{errors.Join(errors.Join(fmt.Errorf("a: %w", errdefs.ErrNotFound), stopped), nil), "dhow: stopped: interrupt signal received; a: not found"},
		{fmt.Errorf("reading: %w: %w", context.Canceled, errdefs.ErrAborted), "dhow: stopped: interrupt signal received"},
		{errdefs.ErrDataLoss, "dhow: data loss"},
	} {
		if got := errorLine(ctx, tc.err); got != tc.want {
			t.Errorf("%v: %s; want %s", tc.err, got, tc.want)
		}
	}
}
