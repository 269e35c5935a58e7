// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSearch: a text is found wherever it lies, at the seams of pieces too.
func TestSearch(t *testing.T) {
	text := regexp.MustCompile(`wolfSSL (\d+\.\d+\.\d+)\x00`)
	for _, at := range []int{0, 1, 500, overlap, pieceOctets - 7, pieceOctets, pieceOctets + overlap - 3, pieceOctets + overlap,
		2*pieceOctets + overlap - 5, 3 * pieceOctets} {
		path := filepath.Join(t.TempDir(), "file")
		b := append(bytes.Repeat([]byte("x"), at), " wolfSSL 5.6.4\x00 and more"...)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := findVersion(path, []*regexp.Regexp{nil, text}); got != "5.6.4" {
			t.Errorf("at %d: version %q", at, got)
		}
	}
}

// TestNoFile: what is no file, or cannot be read, has no version, and nobody
// waits for it.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l := newLister()
		for _, path := range []string{fifo, dir, filepath.Join(dir, "missing")} {
			if v := l.textIn(path, []*regexp.Regexp{boring}); v != "" {
				t.Errorf("%s has version %q", path, v)
			}
			if k, err := l.kind(path); err == nil {
				t.Errorf("%s is %+v", path, k)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it waits for a FIFO")
	}
}

func TestKinds(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	head := string(own[:64])
	foreign := "\x7fELF\x01" + head[5:] // 32 bits
	for _, test := range []struct {
		name, text string
		want       kind
	}{
		{"script", "#!/bin/sh\n" + strings.Repeat("rustls-0.1.2/src/", 2), kind{}},
		{"cut", "\x7fELF", kind{}},
		{"a header alone", head, kind{}},
		{"32 bits", foreign, kind{foreign: true}},
		{"rustls", head + "/index/rustls-0.23.5/src/conn.rs", kind{rustls: true}},
	} {
		got, err := newLister().kind(write(test.name, test.text))
		if test.name == "cut" {
			if err == nil {
				t.Errorf("cut: %+v", got)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	got, err := newLister().kind("/proc/self/exe") // with crypto/tls, by a text above
	if err != nil || !strings.HasPrefix(got.goVersion, "go1.") {
		t.Errorf("this program: %+v, %v", got, err)
	}
}
