package credentials

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testtree"
)

// canary is what must be in no message.
const canary = "canary-7Hq2"

// TestMain is the tests, or, under another name, a credential helper: what one is
// called says how it behaves.
func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if behaviour, ok := strings.CutPrefix(name, helperPrefix); ok {
		os.Exit(helperMain(behaviour, os.Args[1:]))
	}
	if file := os.Getenv("TEST_LOGIN_FILE"); file != "" {
		os.Exit(loginMain(file))
	}
	// A process with the race detector waits for a second before it exits, unless:
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func helperMain(behaviour string, args []string) int {
	in, err := io.ReadAll(os.Stdin)
	if err != nil || len(args) != 1 {
		return 9
	}
	switch behaviour {
	case "test":
		return keychain(args[0], string(in))
	case "empty":
		fmt.Println(notInKeychain)
		return 1
	case "broken":
		fmt.Println("cannot", canary, string(in))
		fmt.Fprintln(os.Stderr, "cannot", canary, string(in))
		return 1
	case "garbage":
		fmt.Printf(`{"Username":"me","Secret":%q`, canary)
	case "twice":
		fmt.Printf(`{"Username":"me","Secret":%q,%q:1,%q:2}`, canary, canary, canary)
	case "number":
		fmt.Print(`{"Username":"me","Secret":5}`)
	case "nobody":
		fmt.Print(`{"Username":"","Secret":""}`)
	case "token":
		fmt.Printf(`{"ServerURL":"x","Username":"<token>","Secret":%q}`, canary)
	case "flood":
		for {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte(canary), 1000)); err != nil {
				return 1
			}
		}
	case "hang":
		time.Sleep(time.Minute)
	case "orphan":
		// A child that outlives the helper and keeps its output open.
		child := exec.CommandContext(context.Background(), os.Args[0], "get")
		child.Args[0] = helperPrefix + "linger"
		child.Stdin, child.Stdout = strings.NewReader(""), os.Stdout
		if err := child.Start(); err != nil {
			return 1
		}
		fmt.Printf(`{"Username":"me","Secret":%q}`, canary)
	case "linger":
		time.Sleep(5 * time.Second)
	}
	return 0
}

// keychain is a helper that works: it has a file for each server.
func keychain(action, in string) int {
	server := in
	var credential struct{ ServerURL, Username, Secret string }
	if action == "store" {
		if err := json.Unmarshal([]byte(in), &credential); err != nil {
			return 2
		}
		server = credential.ServerURL
	}
	file := filepath.Join(filepath.Dir(os.Args[0]), "kept-"+hex.EncodeToString([]byte(server)))
	var err error
	switch action {
	case "store":
		err = os.WriteFile(file, []byte(in), 0o600)
	case "erase":
		err = os.Remove(file)
	case "get":
		var out []byte
		out, err = os.ReadFile(file)
		fmt.Print(string(out))
	default:
		return 3
	}
	if err != nil {
		fmt.Println(notInKeychain)
		return 1
	}
	return 0
}

// helpers makes helpers of these names in a directory of the test's own, and
// returns what finds them.
func helpers(t *testing.T, names ...string) (look func(string) (string, error)) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, suffix := t.TempDir(), ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, helperPrefix+name+suffix)); err != nil {
			t.Skip("needs symbolic links: ", err)
		}
	}
	return func(file string) (string, error) {
		path := filepath.Join(dir, file+suffix)
		if _, err := os.Stat(path); err != nil {
			return "", &exec.Error{Name: file, Err: exec.ErrNotFound}
		}
		return path, nil
	}
}

type (
	tree = testtree.Tree
	env  = testtree.Env
)

// one returns options that know of one file alone.
func one(t *testing.T, content string) Options {
	t.Helper()
	return Options{AuthFile: filepath.Join(tree{"auth.json": content}.Write(t), "auth.json")}
}

func logTo(log *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// shown writes a credential so that a table can have it.
func shown(c Credential) string {
	s := c.Username
	for _, part := range []struct {
		mark   string
		secret Secret
	}{{":", c.Password}, {" refresh=", c.RefreshToken}, {" access=", c.AccessToken}} {
		if !part.secret.IsEmpty() {
			s += part.mark + part.secret.Reveal()
		}
	}
	return s
}
