// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/har"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
	"h2sniff/tui"
)

// takeaway writes what the user interface shows to a file.
type takeaway struct {
	store *store.Store
	start int64
}

// takenStream names a stream of which a row is shown.
type takenStream struct {
	conn   capture.ConnID
	stream uint32
}

// taken is what the rows that are shown belong to.
type taken struct {
	rows    uint64
	conns   map[capture.ConnID]bool
	streams map[takenStream]bool
}

// errNoRows says that there is nothing to write.
var errNoRows = errors.New("no rows are shown")

// write writes the rows as the ending of the path says, into a new file that
// only its owner can read, and tells what it wrote.
func (t *takeaway) write(w *tui.Take) (string, error) {
	var form func(out io.Writer, w *tui.Take, path string) (said, reader string, err error)
	switch strings.ToLower(filepath.Ext(w.Path)) {
	case ".json", ".jsonl", ".ndjson":
		form = t.json
	case ".har":
		form = t.har
	case ".pcapng":
		form = t.recording
	default:
		return "", errors.New("the name has to end in .pcapng, .json or .har")
	}
	path, err := homePath(w.Path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s is there already: choose another name", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("%w (while it captures, h2sniff may write only in the folder that it was started in, and in %s)", err, os.TempDir())
	}
	if err != nil {
		return "", err
	}
	out := bufio.NewWriterSize(f, 256<<10)
	said, reader, err := form(out, w, path)
	err = errors.Join(err, out.Flush())
	if err = errors.Join(err, giveToCaller(f), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	said += " to " + path
	if reader != "" {
		said += "; elsewhere: " + reader
	}
	return said, nil
}

// homePath replaces a ~ at the beginning.
func homePath(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, rest), err
}

// look finds out what the rows that are shown belong to.
func (t *takeaway) look(w *tui.Take) (*taken, error) {
	k := &taken{conns: make(map[capture.ConnID]bool), streams: make(map[takenStream]bool)}
	err := w.Rows(func(e *store.Entry) error {
		k.rows++
		k.conns[e.Conn] = true
		if e.Kind == decode.RowFrame {
			k.streams[takenStream{e.Conn, e.Header.StreamID}] = true
		}
		return nil
	})
	if err == nil && k.rows == 0 {
		err = errNoRows
	}
	return k, err
}

// whole reads all rows of the connections, in order.
func (t *takeaway) whole(w *tui.Take, k *taken, row func(*store.Entry) error, missed func(uint64) error) error {
	v := store.View{}
	if len(k.conns) == 1 {
		for id := range k.conns {
			v.Conn = id
		}
	}
	return w.All(v, func(e *store.Entry) error {
		if !k.conns[e.Conn] {
			return nil
		}
		return row(e)
	}, missed)
}

func (t *takeaway) json(out io.Writer, w *tui.Take, _ string) (said, _ string, err error) {
	rows := 0
	l := lines.NewWriter(out, lines.Options{Format: lines.JSON, Body: true, Start: t.start})
	err = w.Rows(func(e *store.Entry) error {
		rows++
		conn, _ := t.store.Conn(e.Conn)
		return l.Write(*e, conn)
	})
	if err == nil && rows == 0 {
		err = errNoRows
	}
	return "wrote " + plural(rows, "row") + " as JSON lines", "", err
}

// har writes the exchanges that a row is shown of. Their bodies need all rows
// of their connections: which octets are missing does not show in a stream.
func (t *takeaway) har(out io.Writer, w *tui.Take, _ string) (said, _ string, err error) {
	k, err := t.look(w)
	if err != nil {
		return "", "", err
	}
	hw := har.NewWriter(out, har.Options{Version: version(), Limits: exportLimits})
	entries := 0
	var failed error
	c := content.NewCollector(exportLimits, nil, func(x *content.Exchange) {
		if failed == nil && k.streams[takenStream{x.Conn, x.Stream}] {
			failed = hw.Add(x)
			entries++
		}
	})
	err = t.whole(w, k, func(e *store.Entry) error {
		c.Add(e.Seq, &e.Row)
		return failed
	}, func(n uint64) error { c.Missed(n); return nil })
	if err == nil {
		c.Flush()
	}
	return "wrote " + plural(entries, "exchange") + " as HAR", "", errors.Join(err, failed, hw.Close())
}

// recording writes the connections that a row is shown of: header compression
// needs all their frames. reader is the command that reads them elsewhere.
func (t *takeaway) recording(out io.Writer, w *tui.Take, path string) (said, reader string, err error) {
	k, err := t.look(w)
	if err != nil {
		return "", "", err
	}
	rw, err := recording.NewWriter(out, recording.Options{Start: t.start, Version: version()})
	if err != nil {
		return "", "", err
	}
	r := newReplay(t.store, rw)
	err = t.whole(w, k, r.row, r.missed)
	if err == nil {
		err = r.end()
	}
	said = "wrote " + plural(len(k.conns), "whole connection")
	if r.left > 0 {
		said += fmt.Sprintf(", but without the payload of %s with octets missing,", plural(r.left, "frame"))
	}
	return said, elsewhere(path, rw.DecodeAs(), rw.MadeUp()), errors.Join(err, rw.Close())
}
