// SPDX-License-Identifier: Apache-2.0

package target

import (
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
	Returns []uint64 // its return instructions
	// Homes says that the first three words of the arguments lie above the
	// return address as long as the function runs.
	Homes bool
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
		for _, at := range returns {
			f.Go.Returns = append(f.Go.Returns, f.Offset+at)
		}
		moves[f.Name] = true
		understood = append(understood, f)
	}
	if !moves[goConn+"Read"] && !moves[goConn+"Write"] {
		return nil, nil
	}
	return understood, nil
}

// maxGoFunction bounds the code of one, in octets.
const maxGoFunction = 1 << 16
