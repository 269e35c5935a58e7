// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// procPath is /proc/PID/name.
func procPath(pid int, name string) string { return "/proc/" + itoa(pid) + "/" + name }

// stat is what we use of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	state   byte
	ppid    int
	threads int
	start   uint64 // clock ticks since boot
	image   image
	kernel  bool // a thread of the kernel
	exiting bool // the leader is on its way out, in which it is still to be seen for a while
}

// From linux/sched.h.
const (
	pfExiting = 0x4
	pfKThread = 0x200000
)

// image tells one execve from the next as far as the kernel lets us see: the
// addresses of code and stack, 0 where we may not trace the process.
type image struct{ code, stack uint64 }

var errStat = errors.New("unexpected content of /proc/PID/stat")

func readStat(pid int) (stat, error) {
	var buf [1024]byte
	b, err := readSmall(procPath(pid, "stat"), buf[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (stat, error) {
	// The name is in parentheses and may contain some.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, errStat
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 28-2 || len(f[0]) != 1 {
		return stat{}, errStat
	}
	var err error
	number := func(field int) (n uint64) { // as the manual numbers them
		if err == nil {
			n, err = strconv.ParseUint(string(f[field-3]), 10, 64)
		}
		return n
	}
	flags := number(9)
	s := stat{state: f[0][0], ppid: int(number(4)), threads: int(number(20)), start: number(22),
		image: image{number(26), number(28)}, exiting: flags&pfExiting != 0, kernel: flags&pfKThread != 0}
	if err != nil {
		return stat{}, errStat
	}
	return s, nil
}

// dead reports a process of which only the exit status is left. The leader may
// have ended before other threads.
func (s stat) dead() bool { return (s.state == 'Z' || s.state == 'X') && s.threads <= 1 }

// readComm returns the name of the thread-group leader.
func readComm(pid int) (string, error) {
	var buf [64]byte
	b, err := readSmall(procPath(pid, "comm"), buf[:])
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b, []byte("\n"))), nil
}

// readExe returns the path of the executable, "" where we may not know it.
func readExe(pid int) string {
	exe, err := os.Readlink(procPath(pid, "exe"))
	if err != nil {
		return ""
	}
	return exe
}

// readSmall reads a file of /proc in one call, since these are consistent
// within one call only.
func readSmall(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		return buf[:n], nil
	}
}

// pids lists the processes of /proc.
func pids() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, &ProcError{Err: err}
	}
	defer d.Close()
	var all []int
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
				all = append(all, pid)
			}
		}
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, &ProcError{Err: err}
		}
	}
}

// leader returns the process that a thread belongs to, 0 if there is none.
func leader(tid int) int {
	var buf [4096]byte
	b, err := readSmall(procPath(tid, "status"), buf[:])
	if err != nil {
		return 0
	}
	const key = "\nTgid:\t"
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return 0
	}
	b = b[i+len(key):]
	if i = bytes.IndexByte(b, '\n'); i < 0 {
		return 0
	}
	pid, _ := strconv.Atoi(string(b[:i]))
	return pid
}
