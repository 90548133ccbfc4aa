package testcontainerd

import (
	"os/exec"
	"syscall"
)

// orphansDie has the process killed when the thread that starts it ends.
func orphansDie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
