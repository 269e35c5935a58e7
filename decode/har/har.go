// SPDX-License-Identifier: Apache-2.0

// Package har writes exchanges as an HTTP archive, HAR 1.2
// (http://www.softwareishard.com/blog/har-12-spec/), that browsers' developer
// tools open.
//
// What HAR has no place for is in custom fields, whose names begin with an
// underscore: connection facts, the trust of a field, whether an exchange is
// complete. What is not known is marked, never guessed:
//
//   - a header whose name or value is not known has a text in ‹› in its place
//     and the reason in _trust and comment
//   - a request URL of which parts are not known has them replaced by names
//     that begin with unknown- (hosts under .invalid, RFC 2606)
//   - a status that is not known, or is none, is 0
//   - a body with octets missing says so in its comment, and its text is what
//     stands before the first of them
//
// Times come from the frames: send lasts until the end of the request, wait
// until the first frame of the response, receive until its end. Sizes of
// bodies are those of DATA payloads without padding; headersSize is -1, as HAR
// wants where there is no HTTP/1 message head.
package har

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"h2sniff/decode/content"
)

// Options of a Writer.
type Options struct {
	Version string // of h2sniff
	Limits  content.Limits
	// Window is how many octets of entries are held back to bring them in the
	// order of their beginnings: 64 MiB if 0.
	Window int
}

// Writer writes an archive. Entries are in the order in which the exchanges
// began, as far as Options.Window allows; readers have to sort them anyway.
// It is used by one goroutine at a time.
type Writer struct {
	w       io.Writer
	o       Options
	held    []held
	octets  int
	written bool
	err     error
}

type held struct {
	begin int64
	json  []byte
}

// NewWriter begins an archive on w.
func NewWriter(w io.Writer, o Options) *Writer {
	if o.Window <= 0 {
		o.Window = 64 << 20
	}
	hw := &Writer{w: w, o: o}
	head, err := encode(creator{"h2sniff", o.Version})
	if err != nil {
		hw.err = err
		return hw
	}
	hw.write([]byte(fmt.Sprintf("{\"log\":{\"version\":\"1.2\",\"creator\":%s,\"pages\":[],\"entries\":[", head)))
	return hw
}

// Add writes an exchange. The error is final.
func (w *Writer) Add(x *content.Exchange) error {
	e := newEntry(x, w.o.Limits)
	b, err := encode(&e)
	if err != nil {
		return err
	}
	w.held = append(w.held, held{x.Begin(), b})
	if w.octets += len(b); w.octets > w.o.Window {
		w.flush(w.o.Window / 2)
	}
	return w.err
}

// Close ends the archive. It does not close the underlying writer.
func (w *Writer) Close() error {
	w.flush(0)
	w.write([]byte("\n]}}\n"))
	return w.err
}

// flush writes the entries that began first until no more than keep octets
// are held.
func (w *Writer) flush(keep int) {
	sort.SliceStable(w.held, func(i, j int) bool { return w.held[i].begin < w.held[j].begin })
	n := 0
	for ; n < len(w.held) && w.octets > keep; n++ {
		sep := ",\n"
		if !w.written {
			sep = "\n"
			w.written = true
		}
		w.write([]byte(sep))
		w.write(w.held[n].json)
		w.octets -= len(w.held[n].json)
	}
	w.held = append([]held(nil), w.held[n:]...)
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

// encode writes JSON without escaping what only matters in HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
