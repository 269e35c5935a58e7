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
// is made by [NewFile]. [Writer.Close] closes the file, but not standard output.
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
	f, err := NewFile(path, o.Replace, o.Owner)
	if err != nil {
		return nil, err
	}
	w, err := create(f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// NewFile creates a file for what was captured. It holds plaintext, so it can be
// read and written by its owner alone (mode 0600), who is owner, if that is not
// nil. A file that is there and holds something is refused with an error that
// wraps fs.ErrExist, or with replace emptied; it keeps its owner. What is no
// regular file, such as a pipe, is opened as it is.
func NewFile(path string, replace bool, owner *Owner) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err = prepare(f, made, replace, owner); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func prepare(f *os.File, made, replace bool, owner *Owner) error {
	if made {
		if owner == nil {
			return nil
		}
		if err := f.Chown(owner.UID, owner.GID); err != nil {
			return fmt.Errorf("giving the file to its owner: %w", err)
		}
		return nil
	}
	st, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return nil
	case st.Size() > 0 && !replace:
		return &fs.PathError{Op: "create", Path: f.Name(), Err: fs.ErrExist}
	}
	if st.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return fmt.Errorf("keeping others from reading the file: %w", err)
		}
	}
	return f.Truncate(0)
}

func create(f *os.File, o Options) (*Writer, error) {
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
