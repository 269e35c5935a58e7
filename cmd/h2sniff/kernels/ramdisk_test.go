//go:build kernels

// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ramdisk makes a machine's file system: the programs of this one or, for other
// processors, of the suite.
func ramdisk(t *testing.T, suite string, p *processor) string {
	t.Helper()
	from := "/"
	if p.name != runtime.GOARCH {
		dir := t.TempDir()
		output(t, "../../../.ci/programs", suite, p.name, dir, "busybox-static", "nghttp2-client", "nghttp2-server")
		from = filepath.Join(dir, "root")
	}
	root := t.TempDir()
	for _, dir := range []string{"bin", "proc", "sys", "dev", "etc", "srv", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	place(t, root, "testdata/init", "/init")
	for _, program := range []string{"busybox", "nghttpd", "nghttp"} {
		path := look(t, from, program, "bin", "usr/bin", "usr/sbin")
		place(t, root, path, "/bin/"+program)
		for _, library := range libraries(t, from, path, nil) {
			place(t, root, filepath.Join(from, library), library)
		}
	}
	for program, source := range map[string]string{"h2sniff": "..", "gopeer": "../e2e/testdata/gopeer"} {
		build := exec.Command("go", "build", "-o", filepath.Join(root, "bin", program), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+p.name)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if compiles(p) {
		placeNSS(t, root)
	}
	output(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=localhost", "-keyout", filepath.Join(root, "etc/key.pem"), "-out", filepath.Join(root, "etc/cert.pem"))
	if err := os.WriteFile(filepath.Join(root, "srv/70000"), bytes.Repeat([]byte("x"), 70000), 0o644); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "ramdisk")
	output(t, "sh", "-c", `cd "$1" && find . | busybox cpio -o -H newc >"$2"`, "sh", root, image)
	return image
}

// compiles reports whether C programs can be had for a processor.
func compiles(p *processor) bool { return p.name == runtime.GOARCH }

// placeNSS puts a client that uses NSS into the machine, with what NSS loads at
// run time, and the octets that it is to send.
func placeNSS(t *testing.T, root string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "peer_nss")
	output(t, "gcc", "-O1", "-pthread", "-o", program, "../e2e/testdata/peer.c", "../e2e/testdata/peer_nss.c",
		"-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lnss3", "-lnspr4")
	place(t, root, program, "/bin/peer_nss")
	needed := libraries(t, "/", program, nil)
	folder := filepath.Dir(needed[slices.IndexFunc(needed, func(path string) bool { return filepath.Base(path) == "libnss3.so" })])
	for _, name := range []string{"libsoftokn3.so", "libfreebl3.so", "libfreeblpriv3.so"} {
		path := look(t, "/", name, folder, filepath.Join(folder, "nss"))
		needed = libraries(t, "/", path, append(needed, path))
	}
	for _, path := range needed {
		place(t, root, path, path)
	}
	var octets, fields bytes.Buffer
	octets.WriteString(http2.ClientPreface)
	framer, encoder := http2.NewFramer(&octets, nil), hpack.NewEncoder(&fields)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "localhost"}, {Name: ":path", Value: "/70000"},
	} {
		if err := encoder.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		framer.WriteWindowUpdate(0, 1<<20),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndStream: true, EndHeaders: true}),
		os.WriteFile(filepath.Join(root, "etc/request"), octets.Bytes(), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// libraries adds to a list the paths, below a root, of the dynamic loader and of
// all libraries that a program needs.
func libraries(t *testing.T, root, program string, list []string) []string {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := f.Section(".interp"); s != nil {
		name, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(bytes.TrimRight(name, "\x00")))
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	multiarch := map[elf.Machine]string{elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu"}[f.Machine]
	for _, name := range needed {
		path := look(t, root, name, "lib/"+multiarch, "usr/lib/"+multiarch)
		inside := "/" + mustRel(t, root, path)
		if !slices.Contains(list, inside) {
			list = libraries(t, root, path, append(list, inside))
		}
	}
	return list
}

func mustRel(t *testing.T, root, path string) string {
	t.Helper()
	inside, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return inside
}

// look finds a file in folders below a root.
func look(t *testing.T, root, name string, folders ...string) string {
	t.Helper()
	for _, folder := range folders {
		path := filepath.Join(root, folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("missing: %s", name)
	return ""
}

// place copies a file into the machine.
func place(t *testing.T, root, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, to)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
