// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processIDs lists the processes of /proc.
func processIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func readComm(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(bytes.TrimSuffix(b, []byte("\n"))), err
}

// maxDescriptors bounds how many descriptors of a process are looked at.
const maxDescriptors = 1 << 16

// usesTCP reports whether a process has a TCP socket.
func (l *lister) usesTCP(pid int) (bool, error) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return false, err
	}
	defer dir.Close()
	var sockets map[string]bool
	for n := 0; n < maxDescriptors; n += 1024 {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			to, err := os.Readlink(dir.Name() + "/" + name)
			if err != nil {
				continue // closed meanwhile
			}
			inode, ok := strings.CutPrefix(to, "socket:[")
			if !ok {
				continue
			}
			if sockets == nil {
				if sockets, err = l.tcpSockets(pid); err != nil {
					return false, err
				}
			}
			if sockets[strings.TrimSuffix(inode, "]")] {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(names) == 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// tcpSockets returns the inodes of all TCP sockets of the process's network
// namespace.
func (l *lister) tcpSockets(pid int) (map[string]bool, error) {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	if known := l.networks[ns]; known != nil {
		return known, nil
	}
	inodes := make(map[string]bool)
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, name))
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() { // proc(5): sl local remote st queues tr retrnsmt uid timeout inode
			if fields := strings.Fields(lines.Text()); len(fields) >= 10 && fields[9] != "0" && fields[9] != "inode" {
				inodes[fields[9]] = true
			}
		}
		err = lines.Err()
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	l.networks[ns] = inodes
	return inodes, nil
}

// mapped is a file that a process has mapped.
type mapped struct {
	path string // as the kernel writes it
	open string // below /proc/PID: the same file
}

// files lists the files that a process maps, each once.
func files(pid int) ([]mapped, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []mapped
	seen := make(map[string]bool)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		i := strings.IndexByte(lines.Text(), '/')
		if i < 0 {
			continue
		}
		path := lines.Text()[i:]
		if !seen[path] {
			seen[path] = true
			span, _, _ := strings.Cut(lines.Text(), " ")
			inode := uint64(0)
			if fields := strings.Fields(lines.Text()[:i]); len(fields) == 5 {
				inode, _ = strconv.ParseUint(fields[4], 10, 64) // the kernel writes numbers
			}
			out = append(out, mapped{path, openable(pid, span, path, inode)})
		}
	}
	return out, lines.Err()
}

// openable is a path of a file that a process maps: without privileges, not the one
// that leads there for sure, but its name where that is still the same inode.
func openable(pid int, span, path string, inode uint64) string {
	exact := fmt.Sprintf("/proc/%d/map_files/%s", pid, span)
	named := fmt.Sprintf("/proc/%d/root%s", pid, path)
	var st unix.Stat_t
	if unix.Access(exact, unix.R_OK) == nil || unix.Stat(named, &st) != nil || st.Ino != inode {
		return exact
	}
	return named
}
