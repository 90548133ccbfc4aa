package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/term"
)

// maxLine bounds what is read as a name or password.
const maxLine = 64 << 10

// askPassword asks on the terminal for what is not to be seen.
func (a *app) askPassword(ctx context.Context, prompt string) (string, error) {
	terminal, err := a.terminal("a password", prompt)
	if err != nil {
		return "", err
	}
	typed, err := wait(ctx, func() ([]byte, error) { return term.ReadPassword(int(terminal.Fd())) })
	_, _ = fmt.Fprintln(a.stderr) // what was typed did not end the line
	if err != nil {
		return "", fmt.Errorf("reading a password: %w", err)
	}
	return string(typed), nil
}

// askLine asks on the terminal for a line.
func (a *app) askLine(ctx context.Context, prompt string) (string, error) {
	if _, err := a.terminal("a name", prompt); err != nil {
		return "", err
	}
	return a.readLine(ctx)
}

// terminal returns standard input, if it is a terminal to ask on, and shows the prompt.
// That is not in the error: who types a password alone has it taken for a name.
func (a *app) terminal(what, prompt string) (*os.File, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, fmt.Errorf("standard input is no terminal to ask for %s on: %w", what, errdefs.ErrInvalidArgument)
	}
	_, err := fmt.Fprint(a.stderr, prompt)
	return f, err
}

// readLine reads a line of standard input, and nothing after it.
func (a *app) readLine(ctx context.Context) (string, error) {
	return wait(ctx, func() (string, error) {
		var line []byte
		for one := make([]byte, 1); len(line) < maxLine; {
			n, err := a.stdin.Read(one)
			if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return "", fmt.Errorf("reading standard input: %w", err)
			}
			line = append(line, one[:n]...)
		}
		return strings.TrimRight(string(line), "\r"), nil
	})
}
