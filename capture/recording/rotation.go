// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"h2sniff/capture"
)

// RotationOptions say when a Rotation begins a new file.
type RotationOptions struct {
	// Size is how many octets a file may have before the next event goes to a
	// new one. A file exceeds it by less than one event.
	Size int64
	// Files is how many of the newest files are kept; 0 for all.
	Files int
}

// A Rotation writes events as a sequence of recordings: for the path x.pcapng
// x-00001.pcapng, x-00002.pcapng and so on. It is not safe for concurrent use;
// [Tee] is.
//
// Each file can be read by itself. A connection that is open when a file begins
// opens in it anew with its first event there, as one found in its middle: a
// frame that spans two files is whole in neither, and header fields that rest
// on an earlier file are unknown.
//
// Statistics are those of the file, lost events and missed calls those since the
// file before.
type Rotation struct {
	path string
	opts RotationOptions
	meta Options

	w     *Writer // the newest file
	n     int     // its number
	conns openConns
	given capture.Stats // the source's counters
	begun capture.Stats // the same, before the newest file
	err   error
}

// CreateRotation begins the first file. Where files of an earlier rotation are
// there it fails with an error that wraps fs.ErrExist, or with o.Replace removes
// all of them: files of two would be taken for those of one.
func CreateRotation(path string, r RotationOptions, o Options) (*Rotation, error) {
	earlier, err := RotationFiles(path)
	if err != nil {
		return nil, err
	}
	if len(earlier) > 0 && !o.Replace {
		return nil, &fs.PathError{Op: "create", Path: earlier[0], Err: fs.ErrExist}
	}
	for _, name := range earlier {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	o.Replace = false
	rot := &Rotation{path: path, opts: r, meta: o, conns: newOpenConns()}
	if err := rot.begin(); err != nil {
		return nil, err
	}
	return rot, nil
}

// RotationFiles lists the files that are there of rotations with a path.
func RotationFiles(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []string
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), stem)
		if !ok {
			continue
		}
		number, ok = strings.CutSuffix(number, ext)
		if n, err := strconv.ParseUint(number, 10, 32); ok && err == nil && e.Name() == filepath.Base(rotationName(path, int(n))) {
			files = append(files, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return files, nil
}

// Name is the path of file n; files count from 1.
func (r *Rotation) Name(n int) string { return rotationName(r.path, n) }

func rotationName(path string, n int) string {
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s-%05d%s", strings.TrimSuffix(path, ext), n, ext)
}

// Files are the numbers of the first file that is kept and of the newest.
func (r *Rotation) Files() (first, last int) {
	first = 1
	if r.opts.Files > 0 {
		first = max(1, r.n-r.opts.Files+1)
	}
	return first, r.n
}

// begin begins the next file and removes the oldest if there are too many.
func (r *Rotation) begin() error {
	w, err := Create(r.Name(r.n+1), r.meta)
	if err != nil {
		return err
	}
	r.w = w
	r.n++
	r.conns.begin(0)
	r.begun = r.given
	if old := r.n - r.opts.Files; r.opts.Files > 0 && old > 0 {
		if err := os.Remove(r.Name(old)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// Write records one event, as [Writer.Write] does.
func (r *Rotation) Write(ev *capture.Event) error {
	if r.err != nil {
		return r.err
	}
	if err := check(ev); err != nil {
		return err
	}
	if r.w.size() >= r.opts.Size {
		if r.err = r.rotate(); r.err != nil {
			return r.err
		}
	}
	r.err = r.conns.write(ev, r.w)
	return r.err
}

func (r *Rotation) rotate() error {
	r.setStats()
	if err := r.w.Close(); err != nil {
		return err
	}
	return r.begin()
}

// setStats gives the newest file its statistics.
func (r *Rotation) setStats() {
	s := r.w.counters.stats
	s.LostEvents = r.given.LostEvents - r.begun.LostEvents
	s.Missed = r.given.Missed - r.begun.Missed
	r.w.SetStats(s)
}

// SetStats takes what only the source knows from its counters: lost events and
// missed calls.
func (r *Rotation) SetStats(s capture.Stats) {
	r.given = s
	r.setStats()
}

// Flush hands everything written so far to the newest file.
func (r *Rotation) Flush() error {
	if r.err != nil {
		return r.err
	}
	r.setStats()
	r.err = r.w.Flush()
	return r.err
}

// DecodeAs is [Writer.DecodeAs] of the newest file.
func (r *Rotation) DecodeAs() string { return r.w.DecodeAs() }

// MadeUp is [Writer.MadeUp] of the newest file.
func (r *Rotation) MadeUp() int { return r.w.MadeUp() }

// Close ends the newest file.
func (r *Rotation) Close() error {
	r.setStats()
	return r.w.Close()
}
