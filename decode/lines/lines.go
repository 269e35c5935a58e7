// SPDX-License-Identifier: Apache-2.0

// Package lines writes rows of the frame store as lines: text for people,
// plain for those who know h2sniff.py, JSON for programs (docs/json.md has
// every key).
package lines

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"h2sniff/decode"
	"h2sniff/decode/store"
)

// Format is a format of lines.
type Format uint8

const (
	// Text is the plain line with the connection in front and what is in the
	// frame indented under it, in the manner of nghttp -v.
	Text Format = iota
	// Plain is one line a frame, as h2sniff.py wrote it, and one a gap.
	Plain
	// JSON is one object a row.
	JSON
)

var formatNames = [...]string{Text: "text", Plain: "plain", JSON: "json"}

func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return "invalid"
}

// ParseFormat returns the format with the given name.
func ParseFormat(name string) (Format, error) {
	for f, n := range formatNames {
		if n == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("%q is none of the formats text, plain, json", name)
}

// Options of a Writer.
type Options struct {
	Format Format
	// Body adds the content of DATA frames: in Text as a hex dump with that
	// of unknown frame types, in JSON as the key data. Plain has no room.
	Body bool
	// Verbose adds to JSON how each field was represented on the wire, and
	// the state of the dynamic table.
	Verbose bool
	// With HasStream, frames of other streams are left out. Rows that are not
	// frames stay: they say what the frames do not show.
	Stream    uint32
	HasStream bool
	// Start is the time that elapsed time counts from, in nanoseconds since
	// the Unix epoch.
	Start int64
}

// Writer writes rows as lines. It is used by one goroutine at a time.
type Writer struct {
	w   io.Writer
	o   Options
	buf []byte

	second second
}

// keepBuffer is the largest buffer that a Writer keeps between rows, octets.
const keepBuffer = 1 << 20

// NewWriter returns a Writer to w. It does not buffer: each row is one call of
// w.Write, with whole lines.
func NewWriter(w io.Writer, o Options) *Writer {
	return &Writer{w: w, o: o}
}

// Write writes one row. c is what is known of its connection by then. Rows
// that the format or the options leave out are not written and no error. The
// error is that of the io.Writer.
func (w *Writer) Write(e store.Entry, c store.ConnSummary) error {
	if w.o.HasStream && e.Kind == decode.RowFrame && e.Header.StreamID != w.o.Stream {
		return nil
	}
	b := w.buf[:0]
	switch w.o.Format {
	case Text:
		b = w.text(b, &e, &c)
	case Plain:
		b = w.plain(b, &e)
	case JSON:
		b = w.json(b, &e, &c)
	}
	if cap(b) <= keepBuffer {
		w.buf = b
	}
	if len(b) == 0 {
		return nil
	}
	_, err := w.w.Write(b)
	return err
}

// Missed writes, in the place where they would be, that a number of rows were
// gone before they could be written. The error is that of the io.Writer.
func (w *Writer) Missed(rows uint64) error {
	b := w.buf[:0]
	if w.o.Format == JSON {
		b = jsonMissed(b, rows)
	} else {
		b = fmt.Appendf(b, "... %d rows left the history before they could be printed\n", rows)
	}
	_, err := w.w.Write(b)
	return err
}

// Unfollowed says what a capture of running programs did not see of processes
// that came meanwhile.
type Unfollowed struct {
	Processes uint64 // had ended before they could be followed
	AtLeast   bool   // there may have been more
	// Late were followed later than from their beginning on; LateBy is the
	// longest such time.
	Late   uint64
	LateBy time.Duration
}

// Unfollowed writes that processes are missing, in JSON alone. The error is that
// of the io.Writer.
func (w *Writer) Unfollowed(u Unfollowed) error {
	if w.o.Format != JSON {
		return nil
	}
	_, err := w.w.Write(jsonUnfollowed(w.buf[:0], u))
	return err
}

// plain appends the line of h2sniff.py. What is not a frame has none there,
// but lost octets must not pass in silence.
func (w *Writer) plain(b []byte, e *store.Entry) []byte {
	switch e.Kind {
	case decode.RowFrame:
		return append(w.frameLine(b, e), '\n')
	case decode.RowGap:
		return append(w.gapLine(b, e), '\n')
	}
	return b
}

// frameLine appends the line of a frame without its end.
func (w *Writer) frameLine(b []byte, e *store.Entry) []byte {
	b = w.clock(b, e)
	b = append(b, e.Direction.String()...)
	b = append(b, ' ')
	b = append(b, decode.TypeName(e.Header.Type)...)
	b = append(b, " frame <length="...)
	b = strconv.AppendUint(b, uint64(e.Header.Length), 10)
	b = append(b, ", stream_id="...)
	b = strconv.AppendUint(b, uint64(e.Header.StreamID), 10)
	if e.Header.Flags != 0 {
		sep := ", flags="
		for name := range decode.EachFlag(e.Header.Type, e.Header.Flags) {
			b = append(append(b, sep...), name...)
			sep = ","
		}
	}
	return append(b, '>')
}

func (w *Writer) gapLine(b []byte, e *store.Entry) []byte {
	b = w.clock(b, e)
	b = append(b, e.Direction.String()...)
	b = append(b, " gap <bytes="...)
	b = strconv.AppendUint(b, e.GapBytes, 10)
	b = append(b, ", reason="...)
	b = append(b, e.GapReason.String()...)
	return append(b, '>')
}

// clock appends the elapsed time in seconds with three decimals, in brackets.
func (w *Writer) clock(b []byte, e *store.Entry) []byte {
	b = append(b, '[')
	b = strconv.AppendFloat(b, float64(e.Time-w.o.Start)/1e9, 'f', 3, 64)
	return append(b, "] "...)
}
