// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/term"
)

// ErrTerminal is returned by [Create] for standard output that is a terminal.
var ErrTerminal = errors.New("a recording cannot go to a terminal: name a file, or send standard output to one or to a pipe")

// Create begins a recording in the file path, "-" being standard output. It
// holds plaintext, so the file can be read and written by its owner alone
// (mode 0600), also if it was there before; what it held is gone.
// [Writer.Close] closes the file, but not standard output.
//
// The head of the recording is written at once, so that whoever reads it while
// it is written knows what it is.
func Create(path string, o Options) (*Writer, error) {
	if path == "-" {
		if term.IsTerminal(int(os.Stdout.Fd())) {
			return nil, ErrTerminal
		}
		w, err := NewWriter(os.Stdout, o)
		if err != nil {
			return nil, err
		}
		return w, w.begin(os.Stdout)
	}
	f, made, err := openNew(path)
	if err != nil {
		return nil, err
	}
	w, err := create(f, made, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// openNew opens a file for writing, empty. made says that it was not there.
func openNew(path string) (f *os.File, made bool, err error) {
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return f, err == nil, err
	}
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	return f, false, err
}

func create(f *os.File, made bool, o Options) (*Writer, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return nil, fmt.Errorf("keep others from reading the recording: %w", err)
		}
	}
	if made && o.Owner != nil {
		if err := f.Chown(o.Owner.UID, o.Owner.GID); err != nil {
			return nil, fmt.Errorf("give the recording to its owner: %w", err)
		}
	}
	w, err := NewWriter(f, o)
	if err != nil {
		return nil, err
	}
	w.closer = f
	return w, w.begin(f)
}

// begin writes the head. Whether there is room for it will show at the first
// event too.
func (w *Writer) begin(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	w.live = !st.Mode().IsRegular()
	w.write()
	return nil
}

// Open begins to read the recording in the file path.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
