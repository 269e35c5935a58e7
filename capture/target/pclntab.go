// SPDX-License-Identifier: Apache-2.0

package target

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// pclntab is the function table that Go's runtime keeps in every program, with
// or without symbols (runtime/symtab.go), as written since Go 1.18.
type pclntab struct {
	o *object
	section
	functions  uint64 // number of them
	names      extent // in the file, as all here
	table      extent // of functions, and their data
	headerText uint64 // runtime.text; 0 where the loader or nobody fills it in
}

// Magic numbers of the first four octets.
const (
	pclntab118 = 0xfffffff0
	pclntab120 = 0xfffffff1
)

const (
	pclntabHeader = 72
	// maxGoFunctions is some 10 times what the largest programs have.
	maxGoFunctions = 1 << 24
	// maxPclntab bounds the section that the table is in, in octets: it has 60
	// MiB in Kubernetes' largest.
	maxPclntab = 1 << 28
	// goWindow is how much is read at a time where data are looked up.
	goWindow = 1 << 16
)

// readPclntab finds the table and reads its header. ok is false where there is
// none, or one of another version; isGo says that it is a Go program anyway.
func (o *object) readPclntab() (p *pclntab, isGo, ok bool, err error) {
	// The second is Go's own linker's in a position-independent program.
	s, ok, err := o.section(".gopclntab", ".data.rel.ro.gopclntab")
	if err != nil {
		return nil, false, false, err
	}
	if ok {
		p, ok, err := o.pclntabAt(s)
		return p, true, ok, err
	}
	// The system's linker puts it among other data there.
	if _, isGo, err = o.section(".go.buildinfo", ".note.go.buildid"); err != nil || !isGo {
		return nil, false, false, err
	}
	if s, ok, err = o.section(".data.rel.ro"); err != nil || !ok {
		return nil, true, false, err
	}
	if s.size > maxPclntab {
		return nil, true, false, malformed("%d octets of data", s.size)
	}
	candidates, err := o.findPclntab(s)
	if err != nil {
		return nil, true, false, err
	}
	for _, at := range candidates {
		p, ok, err = o.pclntabAt(section{s.addr + at, s.offset + at, s.size - at})
		if ok && err == nil {
			return p, true, true, nil
		}
	}
	return nil, true, false, nil
}

// maxCandidates bounds how many places of a section are taken for a table.
const maxCandidates = 16

// findPclntab returns where in a section a table may begin.
func (o *object) findPclntab(s section) ([]uint64, error) {
	const align, head = 32, 8
	var found []uint64
	err := o.chunks(extent{s.offset, s.size}, align, func(piece []byte, base uint64) error {
		for at := (align - int(s.addr+base)%align) % align; at+head <= len(piece) && len(found) < maxCandidates; at += align {
			if magic := le32(piece[at:]); (magic == pclntab118 || magic == pclntab120) && piece[at+4] == 0 && piece[at+5] == 0 && piece[at+7] == 8 {
				if place := base + uint64(at); len(found) == 0 || found[len(found)-1] != place {
					found = append(found, place)
				}
			}
		}
		return nil
	})
	return found, err
}

// pclntabAt reads the header of a table.
func (o *object) pclntabAt(s section) (p *pclntab, ok bool, err error) {
	if s.size < pclntabHeader {
		return nil, false, nil
	}
	if s.size > maxPclntab {
		return nil, false, malformed("%d octets of Go's tables", s.size)
	}
	h, err := o.read(extent{s.offset, pclntabHeader})
	if err != nil {
		return nil, false, err
	}
	le := binary.LittleEndian
	if magic := le32(h); magic != pclntab118 && magic != pclntab120 || h[7] != 8 {
		return nil, false, nil
	}
	p = &pclntab{o: o, section: s, functions: le.Uint64(h[8:]), headerText: le.Uint64(h[24:])}
	names, files, table := le.Uint64(h[32:]), le.Uint64(h[40:]), le.Uint64(h[64:])
	if names > files || files > s.size || table > s.size || p.functions > maxGoFunctions ||
		p.functions*8+4 > s.size-table {
		return nil, false, malformed("the table of Go functions lies beyond its section")
	}
	p.names = extent{s.offset + names, files - names}
	p.table = extent{s.offset + table, s.size - table}
	return p, true, nil
}

// goFunction is a function as the table has it.
type goFunction struct {
	name        string
	entry, size uint64 // relative to runtime.text; size with padding
}

// find returns the functions of some names.
func (p *pclntab) find(wanted []string) ([]goFunction, error) {
	rank := make(map[string]int, len(wanted))
	for i, name := range wanted {
		rank[name] = i
	}
	names, err := p.o.findNames(p.names, rank)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	// Of each function the table has the offset of its entry, and that of its
	// data, which begin with both entry and name.
	const entry = 8
	w := window{o: p.o, within: p.table, left: 4 + 4*p.table.size/goWindow}
	var found []goFunction
	err = p.o.chunks(extent{p.table.offset, p.functions*entry + 4}, entry, func(piece []byte, _ uint64) error {
		for ; len(piece) >= entry+4; piece = piece[entry:] {
			start, data, next := le32(piece), le32(piece[4:]), le32(piece[8:])
			b, err := w.at(data, entry)
			if err != nil {
				return err
			}
			name, ok := names[uint32(le32(b[4:]))]
			if !ok || le32(b) != start {
				continue
			}
			if next < start {
				return malformed("Go functions out of order")
			}
			if len(found) == maxFound {
				return malformed("too many definitions")
			}
			found = append(found, goFunction{name, start, next - start})
		}
		return nil
	})
	return found, err
}

func le32(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }

// window gives pieces of an extent, which lie in rising order in files that a
// linker wrote: left bounds the work for others.
type window struct {
	o      *object
	within extent
	buf    []byte
	base   uint64 // of buf, within the extent
	left   uint64 // times that it may be read
}

func (w *window) at(offset, size uint64) ([]byte, error) {
	if offset > w.within.size || size > w.within.size-offset {
		return nil, malformed("data of a Go function lie beyond their table")
	}
	if offset < w.base || offset+size > w.base+uint64(len(w.buf)) {
		if w.left == 0 {
			return nil, malformed("Go functions out of order")
		}
		w.left--
		b, err := w.o.read(extent{w.within.offset + offset, min(goWindow, w.within.size-offset)})
		if err != nil {
			return nil, err
		}
		w.buf, w.base = b, offset
	}
	return w.buf[offset-w.base:][:size], nil
}

// Offsets in runtime.moduledata (Go 1.18 to 1.26), whose first field points to
// the table of functions.
const (
	moduledataText = 176
	moduledataSize = moduledataText + 8
)

// texts are the addresses that runtime.text may have, the surest first. The
// linker notes it in the table's header until Go 1.25, and in moduledata, which
// has a section of its own since Go 1.26. Where both are left to the dynamic
// loader its relocations tell. A program that Go's own linker made begins its
// .text with it.
func (p *pclntab) texts() ([]uint64, error) {
	var found []uint64
	module, ok, err := p.o.section(".go.module")
	if err != nil {
		return nil, err
	}
	if ok && module.size >= moduledataSize {
		table, err := p.o.pointer(module.at(0))
		if err != nil {
			return nil, err
		}
		text, err := p.o.pointer(module.at(moduledataText))
		if err != nil {
			return nil, err
		}
		if table == p.addr && text != 0 {
			found = append(found, text)
		}
	}
	text := p.headerText
	if text == 0 {
		if text, err = p.o.pointer(p.at(24)); err != nil {
			return nil, err
		}
	}
	if text != 0 {
		found = append(found, text)
	}
	s, ok, err := p.o.section(".text")
	if err != nil {
		return nil, err
	}
	if ok {
		found = append(found, s.addr)
	}
	return slices.Compact(found), nil
}

// place is an octet of a section, in memory and in the file.
type place struct{ addr, offset uint64 }

func (s section) at(offset uint64) place { return place{s.addr + offset, s.offset + offset} }

// relative is the type of a relocation that adds the load address.
var relative = map[elf.Machine]uint64{
	elf.EM_X86_64:  uint64(elf.R_X86_64_RELATIVE),
	elf.EM_AARCH64: uint64(elf.R_AARCH64_RELATIVE),
}[hostMachine]

// pointer reads an address in the file, as it would be if the program were
// loaded at 0: where a relocation fills it in, that has it.
func (o *object) pointer(at place) (uint64, error) {
	const length = 24
	s, ok, err := o.section(".rela.dyn", ".rela")
	if err != nil {
		return 0, err
	}
	var value uint64
	if ok {
		if s.size > maxTableSize {
			return 0, malformed("%d octets of relocations", s.size)
		}
		err := o.chunks(extent{s.offset, s.size - s.size%length}, chunkSize%length, func(piece []byte, _ uint64) error {
			for ; len(piece) >= length; piece = piece[length:] {
				if o.order.Uint64(piece) == at.addr && o.order.Uint64(piece[8:]) == relative {
					value = o.order.Uint64(piece[16:])
				}
			}
			return nil
		})
		if err != nil || value != 0 {
			return value, err
		}
	}
	b, err := o.read(extent{at.offset, 8})
	if err != nil {
		return 0, err
	}
	return o.order.Uint64(b), nil
}

// section is a section that has octets in the file.
type section struct {
	addr         uint64
	offset, size uint64
}

// maxSectionNames bounds their table, in octets.
const maxSectionNames = 1 << 22

// section finds the first section that has one of the names.
func (o *object) section(names ...string) (section, bool, error) {
	if o.sectionNames == nil {
		e := o.sectionNamesAt
		if e.size > maxSectionNames {
			return section{}, false, malformed("%d octets of section names", e.size)
		}
		b, err := o.read(e)
		if err != nil {
			return section{}, false, fmt.Errorf("section names: %w", err)
		}
		o.sectionNames = b
	}
	const length = 64
	for h := o.sections; len(h) >= length; h = h[length:] {
		at := uint64(o.order.Uint32(h))
		if at >= uint64(len(o.sectionNames)) || elf.SectionType(o.order.Uint32(h[4:])) == elf.SHT_NOBITS {
			continue
		}
		for _, name := range names {
			if rest := o.sectionNames[at:]; len(rest) <= len(name) || rest[len(name)] != 0 || string(rest[:len(name)]) != name {
				continue
			}
			s := section{addr: o.order.Uint64(h[16:]), offset: o.order.Uint64(h[24:]), size: o.order.Uint64(h[32:])}
			if !o.inFile(extent{s.offset, s.size}) {
				return section{}, false, malformed("section %s lies beyond the end", name)
			}
			return s, true, nil
		}
	}
	return section{}, false, nil
}
