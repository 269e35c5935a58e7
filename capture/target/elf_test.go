// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var testWanted = map[Family][]string{
	OpenSSL: {
		"SSL_write", "SSL_read", "SSL_write_ex", "SSL_read_ex", "SSL_write_ex2",
		"SSL_do_handshake", "SSL_connect", "SSL_accept", "SSL_free",
	},
	GnuTLS: {
		"gnutls_record_send", "gnutls_record_send2", "gnutls_record_recv",
		"gnutls_record_recv_seq", "gnutls_record_recv_packet", "gnutls_handshake", "gnutls_deinit",
	},
}

var testOptions = Options{Wanted: testWanted}

// missing skips for want of something named; in CI everything must be there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is missing", what)
}

func systemLibrary(t testing.TB, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*-linux-gnu/", "/usr/lib64/", "/usr/lib/", "/lib/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[0]
		}
	}
	missing(t, name)
	return ""
}

// readelfOffsets asks readelf for the file offsets of functions.
func readelfOffsets(t *testing.T, path string, wanted []string) []Function {
	t.Helper()
	readelf, err := exec.LookPath("readelf")
	if err != nil {
		missing(t, "readelf (binutils)")
	}
	run := func(args ...string) string {
		out, err := exec.Command(readelf, append(args, path)...).Output()
		if err != nil {
			t.Fatalf("readelf %v: %v", args, err)
		}
		return string(out)
	}
	hex := func(s string) uint64 {
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	type load struct{ offset, addr, size uint64 }
	var loads []load
	for line := range strings.Lines(run("-lW")) {
		if f := strings.Fields(line); len(f) > 5 && f[0] == "LOAD" {
			loads = append(loads, load{hex(f[1]), hex(f[2]), hex(f[4])})
		}
	}
	var found []Function
	for line := range strings.Lines(run("-sW")) {
		f := strings.Fields(line)
		if len(f) < 8 || f[3] != "FUNC" || f[6] == "UND" {
			continue
		}
		name, _, _ := strings.Cut(f[7], "@")
		if !slices.Contains(wanted, name) {
			continue
		}
		addr := hex(f[1])
		for _, l := range loads {
			if addr >= l.addr && addr < l.addr+l.size {
				size, err := strconv.ParseUint(f[2], 0, 64)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, Function{Name: name, Offset: addr - l.addr + l.offset, Size: size})
			}
		}
	}
	slices.SortFunc(found, func(a, b Function) int {
		return slices.Index(wanted, a.Name) - slices.Index(wanted, b.Name)
	})
	return slices.Compact(found)
}

func TestFunctionsAgreeWithReadelf(t *testing.T) {
	for _, c := range []struct {
		family Family
		file   string
		least  int
	}{
		{OpenSSL, "libssl.so.3", 8},
		{GnuTLS, "libgnutls.so.30", 7},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := systemLibrary(t, c.file)
			found, err := Inspect(path, testOptions)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || found[0].Family != c.family {
				t.Fatalf("found %v, want one library of %v", found, c.family)
			}
			want := readelfOffsets(t, path, testWanted[c.family])
			got := slices.Clone(found[0].Functions)
			for i := range got {
				got[i].Entry, got[i].Inner = 0, Inner{} // readelf knows nothing of them
			}
			if !slices.Equal(got, want) || len(got) < c.least {
				t.Errorf("functions %v\n want %v", got, want)
			}
		})
	}
}

// testELF is an object of one segment, with the named functions in .symtab.
type testELF struct {
	machine elf.Machine
	class   elf.Class
	symbols []testSymbol
	interp  bool
}

type testSymbol struct {
	name  string
	value uint64
	info  byte
	shndx elf.SectionIndex
}

const function = byte(elf.STT_FUNC)

func (e testELF) bytes() []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	put := func(v any) { _ = binary.Write(&b, le, v) }
	strtab := []byte{0}
	symtab := make([]byte, 24)
	for _, s := range e.symbols {
		symtab = le.AppendUint32(symtab, uint32(len(strtab)))
		symtab = append(symtab, s.info, 0)
		symtab = le.AppendUint16(symtab, uint16(s.shndx))
		symtab = le.AppendUint64(symtab, s.value)
		symtab = le.AppendUint64(symtab, 16)
		strtab = append(append(strtab, s.name...), 0)
	}
	segments := 1
	if e.interp {
		segments = 2
	}
	at := uint64(64 + 56*segments)
	symAt, strAt := at, at+uint64(len(symtab))
	shAt := strAt + uint64(len(strtab))
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(e.class), byte(elf.ELFDATA2LSB), 1}
	put(elf.Header64{
		Ident: ident, Type: uint16(elf.ET_DYN), Machine: uint16(e.machine), Version: 1,
		Phoff: 64, Shoff: shAt, Ehsize: 64, Phentsize: 56, Phnum: uint16(segments), Shentsize: 64, Shnum: 3,
	})
	put(elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Off: 0x40, Vaddr: 0x10040, Filesz: 0x80, Memsz: 0x80,
	})
	if e.interp {
		put(elf.Prog64{Type: uint32(elf.PT_INTERP)})
	}
	b.Write(symtab)
	b.Write(strtab)
	put(elf.Section64{})
	put(elf.Section64{Type: uint32(elf.SHT_SYMTAB), Off: symAt, Size: uint64(len(symtab)), Link: 2, Entsize: 24})
	put(elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: strAt, Size: uint64(len(strtab))})
	return b.Bytes()
}

func functionsOf(b []byte, wanted ...string) ([]Function, error) {
	o, err := readObject(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return o.functions(wanted)
}

func TestFunctionsOfSymbols(t *testing.T) {
	e := testELF{machine: hostMachine, class: elf.ELFCLASS64, symbols: []testSymbol{
		{"SSL_read@@OPENSSL_3.0.0", 0x10040, function, 1},
		{"SSL_readable", 0x10041, function, 1},
		{"my_SSL_peek", 0x10042, function, 1}, // its tail is a name
		{"SSL_write", 0x10050, function, elf.SHN_UNDEF},
		{"SSL_write", 0x10060, function | byte(elf.STB_GLOBAL)<<4, 1},
		{"SSL_free", 0x10070, byte(elf.STT_OBJECT), 1},
		{"SSL_accept", 0x20000, function, 1}, // in no segment
		{"SSL_connect", 0x100c0, function, 1},
		{"SSL_read", 0x10048, function, 1}, // another version
	}}
	got, err := functionsOf(e.bytes(), "SSL_write", "SSL_read", "SSL_peek", "SSL_free", "SSL_accept", "SSL_connect")
	want := []Function{{Name: "SSL_write", Offset: 0x60, Size: 16}, {Name: "SSL_read", Offset: 0x40, Size: 16}, {Name: "SSL_read", Offset: 0x48, Size: 16}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

// A name or a symbol on the boundary of a chunk must not be missed.
func TestFunctionsAcrossChunks(t *testing.T) {
	for shift := range 40 {
		e := testELF{machine: hostMachine, class: elf.ELFCLASS64}
		for i := 0; i < chunkSize/24-20+shift; i++ {
			e.symbols = append(e.symbols, testSymbol{name: "SSL_filler_of_24_octets", info: function})
		}
		e.symbols = append(e.symbols, testSymbol{"SSL_read", 0x10050, function, 1})
		got, err := functionsOf(e.bytes(), "SSL_read")
		if err != nil || !slices.Equal(got, []Function{{Name: "SSL_read", Offset: 0x50, Size: 16}}) {
			t.Fatalf("%d symbols: got %v, %v", len(e.symbols), got, err)
		}
	}
}

func TestObjectErrors(t *testing.T) {
	good := testELF{machine: hostMachine, class: elf.ELFCLASS64, symbols: []testSymbol{{"SSL_read", 0x10050, function, 1}}}
	other := good
	other.machine = elf.EM_RISCV
	small := good
	small.class = elf.ELFCLASS32
	change := func(at int, with ...byte) []byte {
		b := good.bytes()
		copy(b[at:], with)
		return b
	}
	shoff := int(binary.LittleEndian.Uint64(good.bytes()[40:]))
	full := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":                {nil, ErrNotELF},
		"script":               {[]byte("#!/bin/sh\nexec nginx \"$@\"\n# long enough to be a header, this is\n"), ErrNotELF},
		"cut header":           {good.bytes()[:40], ErrMalformed},
		"cut":                  {good.bytes()[:shoff+70], ErrMalformed},
		"other machine":        {other.bytes(), ErrMachine},
		"32 bit":               {small.bytes(), ErrMachine},
		"huge segment":         {change(64+32, full...), ErrMalformed},
		"segments beyond":      {change(32, full...), ErrMalformed},
		"sections beyond":      {change(40, full...), ErrMalformed},
		"sections of length 0": {change(58, 0, 0), ErrMalformed},
		"huge symbol table":    {change(shoff+64+32, full...), ErrMalformed},
		"huge string table":    {change(shoff+128+32, full...), ErrMalformed},
		"no string table":      {change(shoff+64+40, full[:4]...), ErrMalformed},
	} {
		if got, err := functionsOf(c.b, "SSL_read"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// repeated is a file that ends with many copies of a text, and needs no room.
type repeated struct {
	begin []byte
	text  string
	size  int64
}

func (f repeated) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		at := off + int64(i)
		switch {
		case at >= f.size:
			return i, io.EOF
		case at < int64(len(f.begin)):
			p[i] = f.begin[at]
		default:
			p[i] = f.text[at%int64(len(f.text))]
		}
	}
	return len(p), nil
}

// What looks like a wanted name all over a large file is not looked at for long.
func TestNamesEverywhere(t *testing.T) {
	b := testELF{machine: hostMachine, class: elf.ELFCLASS64, symbols: []testSymbol{{"SSL_read", 0x10050, function, 1}}}.bytes()
	const size = maxTableSize
	table := b[binary.LittleEndian.Uint64(b[40:])+2*64:]
	if elf.SectionType(binary.LittleEndian.Uint32(table[4:])) != elf.SHT_STRTAB {
		t.Fatal("the third section is no string table")
	}
	binary.LittleEndian.PutUint64(table[24:], uint64(len(b)))
	binary.LittleEndian.PutUint64(table[32:], size)
	o, err := readObject(repeated{b, "SSL_", int64(len(b)) + size}, int64(len(b))+size)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := o.functions([]string{"SSL_read"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, %v", found, err)
	}
}

func FuzzFunctions(f *testing.F) {
	f.Add(testELF{machine: hostMachine, class: elf.ELFCLASS64, interp: true, symbols: []testSymbol{
		{"SSL_read@@OPENSSL_3.0.0", 0x10050, function, 1}, {"gnutls_record_send", 0x10060, function, 1},
	}}.bytes())
	f.Add([]byte(elf.ELFMAG))
	wanted := append(slices.Clone(testWanted[OpenSSL]), testWanted[GnuTLS]...)
	f.Fuzz(func(t *testing.T, b []byte) {
		// A sparse file may claim any length at no cost.
		for _, size := range []int64{int64(len(b)), 1 << 62} {
			o, err := readObject(bytes.NewReader(b), size)
			if err != nil {
				continue
			}
			if _, err := o.findHidden([]*rule{&rules[0]}); err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("untyped error %v", err)
			}
			found, err := o.functions(wanted)
			if err != nil && !errors.Is(err, ErrMalformed) && err != io.EOF {
				t.Fatalf("untyped error %v", err)
			}
			for _, fn := range found {
				if !slices.Contains(wanted, fn.Name) || fn.Offset > uint64(size) {
					t.Fatalf("found %v", fn)
				}
			}
		}
	})
}
