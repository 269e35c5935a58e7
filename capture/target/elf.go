// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
)

// Limits on what a file can make us do. The largest executables in use (web
// browsers, with symbols) stay below them by a factor of four or more.
const (
	maxSections  = 1 << 16
	maxSegments  = 1 << 10
	maxTableSize = 1 << 30 // octets of one symbol or string table
	maxFound     = 1 << 12 // definitions of wanted functions
	maxLooks     = 1 << 20 // places in a string table at which one could be named
	chunkSize    = 1 << 18
	maxName      = 128 // octets of a wanted function's name
)

// object is an ELF file, read piece by piece: memory stays within a few chunks
// whatever the file claims. debug/elf would hold whole tables.
type object struct {
	r     io.ReaderAt
	size  uint64
	order binary.ByteOrder

	dynamic  bool // has PT_INTERP: a loader brings its libraries
	segments []segment
	constant []extent // segments that are neither code nor written to
	tables   []symbolTable

	sections       []byte // their headers
	sectionNamesAt extent
	sectionNames   []byte // nil before they are asked for
}

// segment is an executable PT_LOAD.
type segment struct{ addr, offset, size uint64 }

type symbolTable struct{ symbols, strings extent }

type extent struct{ offset, size uint64 }

var hostMachine = map[string]elf.Machine{
	"amd64": elf.EM_X86_64,
	"arm64": elf.EM_AARCH64,
}[runtime.GOARCH]

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// readObject reads the headers. The file must be for the processor that we
// run on: its functions pass their arguments in registers that the probes know.
func readObject(r io.ReaderAt, size int64) (*object, error) {
	o := &object{r: r, size: uint64(max(size, 0))}
	var h [64]byte
	n, err := r.ReadAt(h[:], 0)
	if n < 4 || !bytes.Equal(h[:4], []byte(elf.ELFMAG)) {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, ErrNotELF
	}
	if n < len(h) {
		return nil, malformed("%d octets", n)
	}
	switch elf.Data(h[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		o.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		o.order = binary.BigEndian
	default:
		return nil, malformed("data encoding %d", h[elf.EI_DATA])
	}
	machine := elf.Machine(o.order.Uint16(h[18:]))
	if elf.Class(h[elf.EI_CLASS]) != elf.ELFCLASS64 || machine != hostMachine {
		return nil, fmt.Errorf("%w (%v, %v)", ErrMachine, machine, elf.Class(h[elf.EI_CLASS]))
	}
	phoff, shoff := o.order.Uint64(h[32:]), o.order.Uint64(h[40:])
	phentsize, phnum := o.order.Uint16(h[54:]), uint64(o.order.Uint16(h[56:]))
	shentsize, shnum := o.order.Uint16(h[58:]), uint64(o.order.Uint16(h[60:]))
	if err := o.readSegments(phoff, uint64(phentsize), phnum); err != nil {
		return nil, err
	}
	return o, o.readSections(shoff, uint64(shentsize), shnum, uint64(o.order.Uint16(h[62:])))
}

// inFile reports whether the file has that extent, without overflow.
func (o *object) inFile(e extent) bool {
	return e.offset <= o.size && e.size <= o.size-e.offset
}

// read returns an extent of at most a few MiB.
func (o *object) read(e extent) ([]byte, error) {
	if !o.inFile(e) {
		return nil, malformed("a table lies beyond the end")
	}
	b := make([]byte, e.size)
	if _, err := o.r.ReadAt(b, int64(e.offset)); err != nil {
		if err == io.EOF {
			return nil, malformed("cut")
		}
		return nil, err
	}
	return b, nil
}

func (o *object) readSegments(offset, entry, n uint64) error {
	const length = 56
	if n == 0 {
		return nil
	}
	if entry != length || n > maxSegments {
		return malformed("%d program headers of %d octets", n, entry)
	}
	b, err := o.read(extent{offset, n * length})
	if err != nil {
		return err
	}
	for ; len(b) >= length; b = b[length:] {
		kind, flags := elf.ProgType(o.order.Uint32(b)), elf.ProgFlag(o.order.Uint32(b[4:]))
		s := segment{offset: o.order.Uint64(b[8:]), addr: o.order.Uint64(b[16:]), size: o.order.Uint64(b[32:])}
		switch {
		case kind == elf.PT_INTERP:
			o.dynamic = true
		case kind == elf.PT_LOAD && flags&elf.PF_X != 0:
			if !o.inFile(extent{s.offset, s.size}) || s.addr+s.size < s.addr {
				return malformed("a segment lies beyond the end")
			}
			o.segments = append(o.segments, s)
		case kind == elf.PT_LOAD && flags&elf.PF_W == 0:
			if e := (extent{s.offset, s.size}); o.inFile(e) {
				o.constant = append(o.constant, e)
			}
		}
	}
	return nil
}

func (o *object) readSections(offset, entry, n, names uint64) error {
	const length = 64
	if offset == 0 {
		return nil
	}
	if entry != length {
		return malformed("section headers of %d octets", entry)
	}
	if n == 0 { // more than fit the field: the first section has the number
		b, err := o.read(extent{offset, length})
		if err != nil {
			return err
		}
		n = o.order.Uint64(b[32:])
	}
	if n > maxSections {
		return malformed("%d sections", n)
	}
	b, err := o.read(extent{offset, n * length})
	if err != nil {
		return err
	}
	o.sections = b
	at := func(i uint64) extent {
		return extent{o.order.Uint64(b[i*length+24:]), o.order.Uint64(b[i*length+32:])}
	}
	if names == uint64(elf.SHN_XINDEX) && n > 0 {
		names = uint64(o.order.Uint32(b[40:]))
	}
	if names < n {
		o.sectionNamesAt = at(names)
	}
	for i := range n {
		kind := elf.SectionType(o.order.Uint32(b[i*length+4:]))
		if kind != elf.SHT_SYMTAB && kind != elf.SHT_DYNSYM {
			continue
		}
		link := uint64(o.order.Uint32(b[i*length+40:]))
		if link >= n {
			return malformed("a symbol table without names")
		}
		t := symbolTable{symbols: at(i), strings: at(link)}
		for _, e := range []extent{t.symbols, t.strings} {
			if !o.inFile(e) || e.size > maxTableSize {
				return malformed("a symbol table lies beyond the end")
			}
		}
		// One of each kind is what linkers write; a file with thousands
		// would have us read them all.
		if len(o.tables) == 4 {
			return malformed("too many symbol tables")
		}
		o.tables = append(o.tables, t)
	}
	return nil
}

// tableSize is the size of all symbol tables in octets.
func (o *object) tableSize() (n uint64) {
	for _, t := range o.tables {
		n += t.symbols.size + t.strings.size
	}
	return n
}

// functions finds the definitions of the wanted names. The result is in the
// order of wanted, then by offset.
func (o *object) functions(wanted []string) ([]Function, error) {
	rank := make(map[string]int, len(wanted))
	for i, name := range wanted {
		if len(name) > 0 && len(name) <= maxName {
			rank[name] = i
		}
	}
	var found []Function
	for _, t := range o.tables {
		names, err := o.findNames(t.strings, rank)
		if err != nil {
			return nil, err
		}
		if found, err = o.findSymbols(t.symbols, names, found); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b Function) int {
		return cmp.Or(cmp.Compare(rank[a.Name], rank[b.Name]), cmp.Compare(a.Offset, b.Offset))
	})
	return slices.Compact(found), nil
}

// chunks calls f with consecutive pieces of e; each but the first repeats the
// last overlap octets of the one before. base is the piece's place within e.
func (o *object) chunks(e extent, overlap int, f func(piece []byte, base uint64) error) error {
	buf := make([]byte, min(e.size, chunkSize))
	for base := uint64(0); ; {
		piece := buf[:min(uint64(len(buf)), e.size-base)]
		if n, err := o.r.ReadAt(piece, int64(e.offset+base)); n < len(piece) {
			if err == io.EOF {
				return malformed("cut") // it shrank while we read it
			}
			return err
		}
		if err := f(piece, base); err != nil {
			return err
		}
		if base+uint64(len(piece)) >= e.size {
			return nil
		}
		base += uint64(len(piece) - overlap)
	}
}

// findNames returns the places in a string table at which a wanted name
// stands, alone or with a version ("SSL_read@@OPENSSL_3.0.0"). Linkers share
// tails, so a name may begin within a longer string.
func (o *object) findNames(e extent, rank map[string]int) (map[uint32]string, error) {
	found := make(map[uint32]string)
	var prefixes []string
	for name := range rank {
		if p := name[:min(4, len(name))]; !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	looks := 0
	err := o.chunks(e, maxName+1, func(piece []byte, base uint64) error {
		for _, p := range prefixes {
			for at := 0; ; at++ {
				i := bytes.Index(piece[at:], []byte(p))
				if i < 0 {
					break
				}
				at += i
				if looks++; looks > maxLooks {
					return malformed("too many names")
				}
				rest := piece[at:min(len(piece), at+maxName+1)]
				n := bytes.IndexAny(rest, "\x00@")
				if n < 0 {
					continue
				}
				if _, ok := rank[string(rest[:n])]; ok {
					if len(found) == maxFound {
						return malformed("too many names")
					}
					found[uint32(base)+uint32(at)] = string(rest[:n])
				}
			}
		}
		return nil
	})
	return found, err
}

// findSymbols appends the functions whose names are given by their places.
func (o *object) findSymbols(e extent, names map[uint32]string, found []Function) ([]Function, error) {
	const length = 24
	if len(names) == 0 {
		return found, nil
	}
	e.size -= e.size % length
	// A chunk boundary must not cut a symbol: 3 chunks hold a whole number.
	err := o.chunks(e, chunkSize%length, func(piece []byte, _ uint64) error {
		for ; len(piece) >= length; piece = piece[length:] {
			name, ok := names[o.order.Uint32(piece)]
			if !ok || elf.ST_TYPE(piece[4]) != elf.STT_FUNC ||
				elf.SectionIndex(o.order.Uint16(piece[6:])) == elf.SHN_UNDEF {
				continue
			}
			offset, ok := o.fileOffset(o.order.Uint64(piece[8:]))
			if !ok {
				continue
			}
			if len(found) == maxFound {
				return malformed("too many definitions")
			}
			found = append(found, Function{Name: name, Offset: offset, Size: o.order.Uint64(piece[16:])})
		}
		return nil
	})
	return found, err
}

// fileOffset translates the address of an instruction.
func (o *object) fileOffset(addr uint64) (uint64, bool) {
	for _, s := range o.segments {
		if addr >= s.addr && addr-s.addr < s.size {
			return addr - s.addr + s.offset, true
		}
	}
	return 0, false
}
