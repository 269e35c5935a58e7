// SPDX-License-Identifier: Apache-2.0

package target

import (
	"slices"

	"h2sniff/capture/code"
)

// goConn is what the names of the methods of Go's *tls.Conn begin with.
const goConn = "crypto/tls.(*Conn)."

// GoFunction says where a function that follows Go's register ABI can be
// probed. Offsets are in the file.
type GoFunction struct {
	// Body is behind the check of the stack's size: what is passed in
	// registers is still there, and a call gets there once.
	Body    uint64
	Returns []uint64 // its return instructions, but for those that Deferred serves
	// Deferred, where its Body is not 0, is a function that this one defers.
	Deferred GoDeferred
	// Homes says that the first three words of the arguments lie above the
	// return address as long as the function runs.
	Homes bool
}

// GoDeferred is what is run just before some returns of a function: a probe there
// costs less than on those. Distances are from the stack pointer of the function
// that defers it: whole words, less than 16 KiB.
type GoDeferred struct {
	Body    uint64 // offset in the file, as GoFunction's
	Closure uint64 // distance of the closure that it runs with, which RDX points to
	Result  uint64 // distance of the first result
}

// findGo finds functions of a Go program (1.17 and newer) in the table that
// its runtime keeps, which stripping does not remove, or, where the table is of
// a version that is not known, among its symbols.
func findGo(o *object, wanted []string) ([]Function, error) {
	table, isGo, ok, err := o.readPclntab()
	if err != nil || !isGo {
		return nil, err
	}
	if !ok {
		found, err := o.functions(wanted)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		if found, err = o.goFunctions(found); err == nil && len(found) == 0 {
			err = ErrGo
		}
		return found, err
	}
	entries, err := table.find(wanted)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	texts, err := table.texts()
	if err != nil {
		return nil, err
	}
	// Where one of several may be right, the code tells.
	for _, text := range texts {
		var found []Function
		for _, e := range entries {
			if offset, ok := o.fileOffset(text + e.entry); ok {
				found = append(found, Function{Name: e.name, Offset: offset, Size: e.size})
			}
		}
		understood, err := o.goFunctions(found)
		if err != nil || len(understood) > 0 {
			return understood, err
		}
	}
	return nil, ErrGo
}

// goFunctions returns those of the functions whose code is understood: none
// without one of the two that move plaintext.
func (o *object) goFunctions(found []Function) ([]Function, error) {
	var understood []Function
	moves := make(map[string]bool)
	for _, f := range found {
		if f.Size == 0 || f.Size > maxGoFunction || !o.executable(f.Offset, f.Size) {
			continue
		}
		b, err := o.read(extent{f.Offset, f.Size})
		if err != nil {
			return nil, err
		}
		body, ok := code.GoBody(hostMachine, b)
		if !ok {
			continue
		}
		f.Go = &GoFunction{Body: f.Offset + body, Homes: code.GoHomes(hostMachine, b, 3)}
		returns, ok := code.Returns(hostMachine, b)
		if !ok {
			continue
		}
		served, err := o.goDeferred(&f, b)
		if err != nil {
			return nil, err
		}
		for _, at := range returns {
			if !slices.Contains(served, at) {
				f.Go.Returns = append(f.Go.Returns, f.Offset+at)
			}
		}
		moves[f.Name] = true
		understood = append(understood, f)
	}
	if !moves[goConn+"Read"] && !moves[goConn+"Write"] {
		return nil, nil
	}
	return understood, nil
}

// goDeferred finds what f defers, if a probe costs little there, and gives the
// returns of f that it serves. b is f's code.
func (o *object) goDeferred(f *Function, b []byte) (served []uint64, err error) {
	const enough = 64 // octets, of the beginning of a function
	for _, d := range code.DeferredGo(hostMachine, b) {
		at := f.Offset + uint64(d.Function)
		if !o.executable(at, enough) {
			continue
		}
		b, err := o.read(extent{at, enough})
		if err != nil {
			return nil, err
		}
		if body, ok := code.GoBody(hostMachine, b); ok && code.Emulated(b[body:]) {
			f.Go.Deferred = GoDeferred{Body: at + body, Closure: d.Closure, Result: d.Result}
			return d.Returns, nil
		}
	}
	return nil, nil
}

// maxGoFunction bounds the code of one, in octets.
const maxGoFunction = 1 << 16
