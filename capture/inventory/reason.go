// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// kind is what a program's file says of its TLS.
type kind struct {
	goVersion string // "" if it is no Go program
	cryptoTLS bool   // a Go program with crypto/tls
	rustls    bool
	foreign   bool // for another processor or word size
}

var (
	// rustlsSource is how Rust programs name the sources of rustls in panics.
	rustlsSource = regexp.MustCompile(`rustls-\d+\.\d+\.\d+/src/`)
	goTLSMethod  = []byte("crypto/tls.(*Conn).Write")
)

// noTLS is said of programs that have none that is known here.
const noTLS = "no TLS library that is known here; cleartext HTTP/2 is captured with -p"

// reason says why nothing of a process can be probed.
func (l *lister) reason(pid int) (string, error) {
	list, err := files(pid)
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if problem := l.problems[strings.TrimSuffix(m.path, " (deleted)")]; problem != "" {
			return problem, nil
		}
	}
	for _, m := range list {
		switch base := path.Base(strings.TrimSuffix(m.path, " (deleted)")); {
		case base == "libjvm.so":
			return "JVM: TLS in Java", nil
		case strings.HasPrefix(base, "libssl3.so"), strings.HasPrefix(base, "libnspr4.so"):
			return "NSS: its functions were not found", nil
		}
	}
	exe := fmt.Sprintf("/proc/%d/exe", pid)
	k, err := l.kind(exe)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", err
	case err != nil:
		return noTLS, nil
	case k.foreign:
		return "a program for another processor or word size", nil
	case k.goVersion != "" && k.cryptoTLS:
		return fmt.Sprintf("Go program (%s): the functions of crypto/tls were not found", k.goVersion), nil
	case k.goVersion != "":
		return fmt.Sprintf("Go program (%s) without crypto/tls; cleartext HTTP/2 is captured with -p", k.goVersion), nil
	case k.rustls:
		return "rustls: no stable symbols", nil
	}
	return noTLS, nil
}

// kind looks into a program's file.
func (l *lister) kind(exe string) (kind, error) {
	id, err := identify(exe)
	if err != nil {
		return kind{}, err
	}
	if k, ok := l.kinds[id]; ok {
		return k, nil
	}
	f, err := os.Open(exe)
	if err != nil {
		return kind{}, err
	}
	var head [20]byte
	_, err = f.ReadAt(head[:], 0)
	f.Close()
	if err != nil {
		return kind{}, err
	}
	var k kind
	switch {
	case !bytes.HasPrefix(head[:], []byte("\x7fELF")):
	case !native(head[:]):
		k.foreign = true
	default:
		if info, err := buildinfo.ReadFile(exe); err == nil {
			k.goVersion = info.GoVersion
		}
		search(exe, func(piece []byte) bool {
			if k.goVersion != "" {
				k.cryptoTLS = bytes.Contains(piece, goTLSMethod)
				return !k.cryptoTLS
			}
			k.rustls = rustlsSource.Match(piece)
			return !k.rustls
		})
	}
	l.kinds[id] = k
	return k, nil
}

// native reports whether an ELF header (elf(5)) is that of a 64-bit program for
// the processor that this program runs on.
func native(head []byte) bool {
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		return true
	}
	defer own.Close()
	var mine [20]byte
	if _, err := own.ReadAt(mine[:], 0); err != nil {
		return true
	}
	return head[4] == mine[4] && bytes.Equal(head[18:20], mine[18:20]) // EI_CLASS, e_machine
}
