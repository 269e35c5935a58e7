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
	const first = 2 // octets that tell an emulated instruction
	if inner == (Inner{}) || !o.executable(inner.Offset, first) ||
		slices.ContainsFunc(members, func(f *Function) bool { return f.Offset == inner.Offset }) {
		return Inner{}, false, nil
	}
	b, err := o.read(extent{inner.Offset, first})
	return inner, err == nil && code.Emulated(b), err
}

// executable reports whether that extent of the file is code.
func (o *object) executable(offset, size uint64) bool {
	return slices.ContainsFunc(o.segments, func(s segment) bool {
		return offset >= s.offset && offset-s.offset <= s.size && size <= s.size-(offset-s.offset)
	})
}
