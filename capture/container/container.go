// SPDX-License-Identifier: Apache-2.0

// Package container tells which container a process runs in, from the names
// that container runtimes give to control groups, and what it is called, from
// the files in which they keep that. It asks no daemon.
//
// Pids are those of the caller's pid namespace, as /proc shows them. From
// inside a cgroup namespace the names of groups outside of it are cut, so that
// a process there may look as if it were in none.
package container

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// Container identifies a container; the zero value says that there is none.
type Container struct {
	// Runtime is what made it: docker, podman, cri-o, containerd, nspawn, lxc;
	// "" where the name of the group does not say.
	Runtime string
	// ID is 64 hexadecimal digits; with nspawn and lxc, the name.
	ID string
}

// String is ID in the length that people write.
func (c Container) String() string {
	if isID(c.ID) {
		return c.ID[:12]
	}
	return c.ID
}

// maxCgroup bounds what is read of /proc/PID/cgroup, in octets.
const maxCgroup = 64 << 10

// Of returns the container of a process. The error is that of reading /proc.
func Of(pid int) (Container, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return Container{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCgroup))
	if err != nil {
		return Container{}, err
	}
	return Parse(b), nil
}

// Parse finds the container in the content of /proc/PID/cgroup (cgroups(7)):
// the innermost one, of the first hierarchy that names one.
func Parse(cgroup []byte) Container {
	for line := range bytes.Lines(cgroup) {
		f := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(":"), 3)
		if len(f) < 3 {
			continue
		}
		parts := strings.Split(string(f[2]), "/")
		for i := len(parts) - 1; i > 0; i-- {
			if c, ok := parse(parts[i], parts[i-1]); ok {
				return c
			}
		}
	}
	return Container{}
}

// runtimes tells them by what stands before the id: docker-ID.scope with
// systemd, docker/ID without.
var runtimes = map[string]string{
	"docker": "docker", "libpod": "podman", "libpod_parent": "podman", "crio": "cri-o",
	"cri-containerd": "containerd", "nerdctl": "containerd", "containerd": "containerd",
}

// parse understands the name of a group in the group named parent.
func parse(name, parent string) (Container, bool) {
	base := strings.TrimSuffix(name, ".scope")
	if i := len(base) - idLen; i >= 0 && isID(base[i:]) {
		id := base[i:]
		if i == 0 { // docker/ID, kubepods/burstable/podUID/ID
			return Container{Runtime: runtimes[parent], ID: id}, true
		}
		prefix := base[:i-1]
		if sep := base[i-1]; sep != '-' && sep != ':' {
			return Container{}, false
		}
		prefix = prefix[strings.LastIndexByte(prefix, ':')+1:] // kubepods-pod.slice:cri-containerd:ID
		if strings.HasSuffix(prefix, "-conmon") {
			return Container{}, false // the monitor of a container, outside
		}
		return Container{Runtime: runtimes[prefix], ID: id}, true
	}
	if id, ok := strings.CutPrefix(name, "lxc.payload."); ok && id != "" {
		return Container{Runtime: "lxc", ID: id}, true
	}
	if parent == "lxc" && name != "" {
		return Container{Runtime: "lxc", ID: name}, true
	}
	if id, ok := strings.CutPrefix(strings.TrimSuffix(name, ".service"), "systemd-nspawn@"); ok && id != "" {
		return Container{Runtime: "nspawn", ID: unescape(id)}, true
	}
	if id, ok := strings.CutPrefix(base, "machine-"); ok && base != name && id != "" {
		id = unescape(id)
		if strings.HasPrefix(id, "qemu-") || strings.HasPrefix(id, "lxc-") { // libvirt's
			return Container{}, false
		}
		return Container{Runtime: "nspawn", ID: id}, true
	}
	return Container{}, false
}

// unescape undoes what systemd.unit(5) does to names of machines: \x2d is a -.
func unescape(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, `\x`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		var octet byte
		if n, err := fmt.Sscanf(after, "%02x", &octet); n == 1 && err == nil && len(after) >= 2 {
			b.WriteByte(octet)
			s = after[2:]
		} else {
			b.WriteString(`\x`)
			s = after
		}
	}
}

const idLen = 64

func isID(s string) bool { return len(s) == idLen && isHex(s) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
