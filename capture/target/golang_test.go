// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"crypto/tls"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

var goWanted = []string{goConn + "Write", goConn + "Read", goConn + "Close"}

// goELF describes a file with a table of Go functions.
type goELF struct {
	magic     uint32
	table     string   // name of its section
	functions []string // each of goCode
	header    bool     // the table has runtime.text
	relocated bool     // a relocation has it
	module    bool     // runtime.moduledata has it, relocated
}

const (
	goText     = 0x10100 // runtime.text; .text begins 0x20 before
	goTextGap  = 0x20
	goTableAt  = 0x30000
	goModuleAt = 0x40000
)

// goCode is a function that checks its stack and returns.
var goCode = map[string][]byte{
	"amd64": []byte("\x49\x3b\x66\x10\x76\x03\x55\x5d\xc3\xeb\xf5\xcc\xcc\xcc\xcc\xcc"),
	"arm64": []byte("\x90\x0b\x40\xf9\xff\x63\x30\xeb\x49\x00\x00\x54\xc0\x03\x5f\xd6\xfc\xff\xff\x17"),
}[runtime.GOARCH]

func (e goELF) bytes() []byte {
	le := binary.LittleEndian
	type sectionOf struct {
		name string
		kind elf.SectionType
		addr uint64
		data []byte
	}
	code := make([]byte, goTextGap)
	names, entries, data := []byte{0}, []byte(nil), []byte(nil)
	funcs := uint64(8*len(e.functions) + 4)
	for i, name := range e.functions {
		entry := uint32(i * len(goCode))
		code = append(code, goCode...)
		entries = le.AppendUint32(entries, entry)
		entries = le.AppendUint32(entries, uint32(funcs)+uint32(len(data)))
		data = le.AppendUint32(data, entry)
		data = le.AppendUint32(data, uint32(len(names)))
		names = append(append(names, name...), 0)
	}
	entries = le.AppendUint32(entries, uint32(len(e.functions)*len(goCode)))
	var text, pointer uint64
	if e.header {
		text = goText
	}
	table := le.AppendUint32(nil, e.magic)
	table = append(table, 0, 0, 1, 8)
	for _, v := range []uint64{uint64(len(e.functions)), 0, text, pclntabHeader, pclntabHeader + uint64(len(names)), 0, 0, pclntabHeader + uint64(len(names))} {
		table = le.AppendUint64(table, v)
	}
	table = slices.Concat(table, names, entries, data)
	relocate := func(relocations []byte, at, addend uint64) []byte {
		relocations = le.AppendUint64(relocations, at)
		relocations = le.AppendUint64(relocations, relative)
		return le.AppendUint64(relocations, addend)
	}
	sections := []sectionOf{
		{".text", elf.SHT_PROGBITS, goText - goTextGap, code},
		{e.table, elf.SHT_PROGBITS, goTableAt, table},
		{".note.go.buildid", elf.SHT_NOTE, 0, nil},
	}
	var relocations []byte
	if e.relocated {
		relocations = relocate(relocations, goTableAt+24, goText)
	}
	if e.module {
		relocations = relocate(relocations, goModuleAt, goTableAt)
		relocations = relocate(relocations, goModuleAt+moduledataText, goText)
		sections = append(sections, sectionOf{".go.module", elf.SHT_PROGBITS, goModuleAt, le.AppendUint64(make([]byte, moduledataSize), pointer)})
	}
	sections = append(sections, sectionOf{".rela.dyn", elf.SHT_RELA, 0, relocations})
	names = []byte{0}
	body := make([]byte, 64+56)
	headers := make([]byte, 64)
	add := func(s sectionOf) {
		for len(body)%32 != 0 {
			body = append(body, 0)
		}
		var b bytes.Buffer
		_ = binary.Write(&b, le, elf.Section64{Name: uint32(len(names)), Type: uint32(s.kind), Addr: s.addr, Off: uint64(len(body)), Size: uint64(len(s.data))})
		headers = append(headers, b.Bytes()...)
		names = append(append(names, s.name...), 0)
		body = append(body, s.data...)
	}
	for _, s := range sections {
		add(s)
	}
	names = append(names, ".shstrtab\x00"...)
	shstrtab := slices.Clone(names)
	add(sectionOf{".shstrtab", elf.SHT_STRTAB, 0, shstrtab})
	n := len(sections) + 2
	var h bytes.Buffer
	_ = binary.Write(&h, le, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_DYN), Machine: uint16(hostMachine), Version: 1,
		Phoff: 64, Shoff: uint64(len(body)), Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: uint16(n), Shstrndx: uint16(n - 1),
	})
	_ = binary.Write(&h, le, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Off: 0x80, Vaddr: goText - goTextGap, Filesz: uint64(len(code)), Memsz: uint64(len(code)),
	})
	copy(body, h.Bytes())
	return append(body, headers...)
}

func goFunctionsOf(b []byte) ([]Function, error) {
	o, err := readObject(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return findGo(o, goWanted)
}

var goNames = []string{"runtime.text", goConn + "Read", "crypto/tls.(*Conn).Readable", goConn + "Write"}

func TestFindGo(t *testing.T) {
	for name, e := range map[string]goELF{
		"header":            {magic: pclntab118, table: ".gopclntab", functions: goNames, header: true},
		"Go 1.20":           {magic: pclntab120, table: ".gopclntab", functions: goNames, header: true},
		"relocated":         {magic: pclntab120, table: ".data.rel.ro.gopclntab", functions: goNames, relocated: true},
		"among other data":  {magic: pclntab120, table: ".data.rel.ro", functions: goNames, relocated: true},
		"by the moduledata": {magic: pclntab120, table: ".gopclntab", functions: goNames, module: true},
	} {
		found, err := goFunctionsOf(e.bytes())
		if err != nil || len(found) != 2 {
			t.Errorf("%s: %v, %v", name, found, err)
			continue
		}
		for i, want := range []struct {
			name  string
			index int
		}{{goConn + "Read", 1}, {goConn + "Write", 3}} {
			f := found[i]
			if offset := uint64(0x80 + goTextGap + want.index*len(goCode)); f.Name != want.name || f.Offset != offset || f.Go == nil ||
				f.Go.Body <= offset || f.Go.Body >= offset+f.Size || len(f.Go.Returns) != 1 || f.Go.Homes {
				t.Errorf("%s: %+v, %+v; want %s at %#x", name, f, f.Go, want.name, offset)
			}
		}
	}
}

func TestFindGoErrors(t *testing.T) {
	good := goELF{magic: pclntab120, table: ".gopclntab", functions: goNames, header: true}
	if found, err := goFunctionsOf(goELF{magic: pclntab120, table: ".gopclntab", functions: goNames[:1], header: true}.bytes()); found != nil || err != nil {
		t.Errorf("without crypto/tls: %v, %v", found, err)
	}
	// Go 1.16 passed arguments on the stack; its functions check it otherwise.
	old := good.bytes()
	code := bytes.ReplaceAll(old, goCode, bytes.Repeat([]byte{0x90}, len(goCode)))
	if found, err := goFunctionsOf(code); found != nil || !errors.Is(err, ErrGo) {
		t.Errorf("another ABI: %v, %v", found, err)
	}
	table := bytes.Index(old, binary.LittleEndian.AppendUint32(nil, pclntab120))
	for name, at := range map[string]int{"functions": 8, "names": 32, "end of names": 40, "table": 64} {
		b := slices.Clone(old)
		copy(b[table+at:], "\xff\xff\xff\xff\xff\xff\xff\x7f")
		if found, err := goFunctionsOf(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("hostile %s: %v, %v", name, found, err)
		}
	}
}

// TestFindGoInThisProgram compares with what the runtime says.
func TestFindGoInThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found, err := Inspect(self, Options{Wanted: map[Family][]string{Go: goWanted}})
	if err != nil || len(found) != 1 || found[0].Family != Go {
		t.Fatalf("%+v, %v", found, err)
	}
	f, err := elf.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		t.Skip("missing: a test binary at a fixed address")
	}
	text := f.Section(".text")
	for name, method := range map[string]any{"Read": (*tls.Conn).Read, "Write": (*tls.Conn).Write, "Close": (*tls.Conn).Close} {
		entry := runtime.FuncForPC(reflect.ValueOf(method).Pointer()).Entry()
		i := slices.IndexFunc(found[0].Functions, func(f Function) bool { return f.Name == goConn+name })
		if i < 0 {
			t.Errorf("%s is missing", name)
			continue
		}
		if fn := found[0].Functions[i]; fn.Offset-text.Offset+text.Addr != uint64(entry) {
			t.Errorf("%s: at %#x of the file, the runtime has it at %#x", name, fn.Offset, entry)
		}
	}
}

func FuzzFindGo(f *testing.F) {
	for _, e := range []goELF{
		{magic: pclntab120, table: ".gopclntab", functions: goNames, header: true},
		{magic: pclntab118, table: ".data.rel.ro", functions: goNames, relocated: true},
		{magic: pclntab120, table: ".gopclntab", functions: goNames, module: true},
	} {
		f.Add(e.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// A sparse file may claim any length at no cost.
		for _, size := range []int64{int64(len(b)), 1 << 62} {
			o, err := readObject(bytes.NewReader(b), size)
			if err != nil {
				continue
			}
			found, err := findGo(o, goWanted)
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrGo) {
				t.Fatalf("untyped error %v", err)
			}
			for _, fn := range found {
				if !slices.Contains(goWanted, fn.Name) || !o.executable(fn.Offset, fn.Size) || !o.executable(fn.Go.Body, 1) {
					t.Fatalf("found %+v", fn)
				}
				for _, at := range fn.Go.Returns {
					if at < fn.Offset || at >= fn.Offset+fn.Size {
						t.Fatalf("a return at %#x of %+v", at, fn)
					}
				}
			}
		}
	})
}
