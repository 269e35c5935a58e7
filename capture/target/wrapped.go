// SPDX-License-Identifier: Apache-2.0

package target

import (
	"runtime"
	"slices"

	"h2sniff/capture/code"
)

// Inner is a function that does the work of others which only wrap it, at a
// place where a probe costs less than at theirs. The zero Inner is none.
type Inner struct {
	Offset uint64 // in the file, octets
	Entry  uint64 // where a probe on its beginning costs the least
	// Count numbers, from 1, the argument that points to where the function
	// stores how many octets it moved. The others are those of the wrapper:
	// handle, buffer, length. It returns 1 on success.
	Count int
}

// wrappers of one function each, with the number of their arguments. Those of
// a group that a library has must agree on what they wrap.
var wrappers = [][]struct {
	name      string
	arguments int
}{
	{{"SSL_write", 3}, {"SSL_write_ex", 4}, {"SSL_write_ex2", 5}},
	{{"SSL_read", 3}, {"SSL_read_ex", 4}},
}

// arguments numbers those that probes read, of functions that begin with
// changing others; of all functions not named it is maxArguments.
var arguments = map[string]int{
	"gnutls_record_send": 3, // (session, data, size)
}

const maxArguments = 5

// maxFunction bounds the code of a function that is read, in octets.
const maxFunction = 1 << 14

// findEntries fills in Function.Entry.
func (o *object) findEntries(functions []Function) error {
	for i := range functions {
		f := &functions[i]
		if runtime.GOARCH != "amd64" || f.Size == 0 || f.Size > maxFunction {
			continue
		}
		n, ok := arguments[f.Name]
		if !ok {
			n = maxArguments
		}
		at, _, err := o.entry(f.Offset, f.Size, n)
		if err != nil {
			return err
		}
		if at != f.Offset {
			f.Entry = at
		}
	}
	return nil
}

// entry finds where a probe on a function costs the least, and whether the
// kernel emulates the instruction there.
func (o *object) entry(offset, size uint64, arguments int) (at uint64, emulated bool, err error) {
	if !o.executable(offset, size) {
		return offset, false, nil
	}
	b, err := o.read(extent{offset, size})
	if err != nil {
		return offset, false, err
	}
	skip, ok := code.Entry(b, arguments)
	return offset + skip, ok, nil
}

// maxWrapper bounds the code of a wrapper, in octets.
const maxWrapper = 1 << 12

// findInner fills in Function.Inner where all wrappers of a group lead to one
// function, and the kernel emulates that function's first instruction.
func (o *object) findInner(functions []Function) error {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	for _, group := range wrappers {
		var members []*Function
		callees := make(map[uint64]code.Wrapped) // by the wrapper's offset
		for _, w := range group {
			for i := range functions {
				f := &functions[i]
				if f.Name != w.name {
					continue
				}
				members = append(members, f)
				callee, ok, err := o.callee(f, w.arguments)
				if err != nil {
					return err
				}
				if ok {
					callees[f.Offset] = callee
				}
			}
		}
		inner, ok, err := o.agreed(members, callees)
		if err != nil {
			return err
		}
		if ok {
			for _, f := range members {
				f.Inner = inner
			}
		}
	}
	return nil
}

func (o *object) callee(f *Function, arguments int) (w code.Wrapped, ok bool, err error) {
	if f.Size == 0 || f.Size > maxWrapper || !o.executable(f.Offset, f.Size) {
		return w, false, nil
	}
	b, err := o.read(extent{f.Offset, f.Size})
	if err != nil {
		return w, false, err
	}
	// Within a segment offsets differ as addresses do.
	w, ok = code.Callee(b, f.Offset, arguments)
	return w, ok, nil
}

// agreed gives what all members wrap, directly or through one another.
func (o *object) agreed(members []*Function, callees map[uint64]code.Wrapped) (Inner, bool, error) {
	var inner Inner
	for _, f := range members {
		w, ok := callees[f.Offset]
		for range members {
			next, wrapper := callees[w.Addr]
			if !ok || !wrapper {
				break
			}
			w = next
		}
		found := Inner{Offset: w.Addr, Count: w.Count}
		if !ok || inner != (Inner{}) && inner != found {
			return Inner{}, false, nil
		}
		inner = found
	}
	if inner == (Inner{}) || slices.ContainsFunc(members, func(f *Function) bool { return f.Offset == inner.Offset }) {
		return Inner{}, false, nil
	}
	// Its size is not known: what follows it does no harm.
	size := min(maxFunction, o.executableFrom(inner.Offset))
	entry, ok, err := o.entry(inner.Offset, size, inner.Count)
	inner.Entry = entry
	return inner, ok, err
}

// executableFrom is how many octets of code the file has from an offset on.
func (o *object) executableFrom(offset uint64) uint64 {
	for _, s := range o.segments {
		if offset >= s.offset && offset-s.offset < s.size {
			return s.size - (offset - s.offset)
		}
	}
	return 0
}

// executable reports whether that extent of the file is code.
func (o *object) executable(offset, size uint64) bool {
	return slices.ContainsFunc(o.segments, func(s segment) bool {
		return offset >= s.offset && offset-s.offset <= s.size && size <= s.size-(offset-s.offset)
	})
}
