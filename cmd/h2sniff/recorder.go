// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"h2sniff/capture/recording"
)

// recorder begins and ends recordings while a session is watched.
type recorder struct {
	tee *recording.Tee
	now func() int64 // the source's clock, Unix nanoseconds

	mu   sync.Mutex
	path string // of the recording that goes on
}

// newRecorder takes the recording that the command line asked for, into path, as
// begun; "" where it did not. What is read from a pipe can be of any time.
func newRecorder(path string, tee *recording.Tee, live bool) *recorder {
	r := &recorder{tee: tee, now: tee.Latest, path: path}
	if live {
		r.now = func() int64 { return time.Now().UnixNano() }
	}
	return r
}

// record begins a recording in path of what comes from now on, or, where path
// is empty, ends the one that goes on. It says in a sentence what it did. A file
// that is there is left alone.
func (r *recorder) record(path string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if path == "" {
		return r.stop()
	}
	if r.path != "" && r.tee.Err() == nil {
		return "", fmt.Errorf("a recording into %s is in progress", r.path)
	}
	if _, err := os.Lstat(path); err == nil {
		return "", &fs.PathError{Op: "record", Path: path, Err: fs.ErrExist}
	}
	now := r.now()
	w, err := createFile(path, now, false)
	if err != nil {
		return "", err
	}
	if err := r.tee.Start(w, now); err != nil {
		return "", errors.Join(err, w.Close(), os.Remove(path))
	}
	r.path = path
	return "recording into " + path, nil
}

func (r *recorder) stop() (string, error) {
	if r.path == "" {
		return "", errors.New("no recording is in progress: :record FILE begins one")
	}
	path := r.path
	command := elsewhere(path, r.tee.DecodeAs(), r.tee.MadeUp())
	r.path = ""
	if err := r.tee.Stop(); err != nil {
		return "", err
	}
	if command == "" {
		return path + " is written", nil
	}
	return path + " is written; elsewhere: " + command, nil
}

// into is the file that is recorded into, "" where none is.
func (r *recorder) into() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tee.Err() != nil {
		return ""
	}
	return r.path
}
