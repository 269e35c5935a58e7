// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"h2sniff/capture"
)

// A Reader reads a recording. It implements capture.Source.
//
// Memory is bounded by the size of one event (16 MiB) and the number of
// connections that the file says are open at once.
type Reader struct {
	blocks *blockReader
	closer io.Closer // of the octets; nil where they need no closing
	start  int64
	ended  bool // the end mark was read
	err    error

	conns    []*inConn // by interface; nil for interface 0 and connections that are over
	pending  *inConn   // its event has begun and needs more packets
	data     []byte    // of the pending event
	explicit *uint64   // Length of the event, where its note gives it

	counters counters
	shared   struct {
		sync.Mutex
		stats capture.Stats
	}
	closed atomic.Bool

	// Now, where set, is called within Read, from its goroutine, when the writer
	// has told that it has written all events before a time, in Unix nanoseconds.
	// Set it before the first Read.
	Now func(now int64)
}

// inConn is the state of a connection that is open.
type inConn struct {
	id   capture.ConnID
	path *path     // nil until the handshake was read
	next [2]uint64 // position after the last event
	isn  [2]uint32
	tid  [2]uint32
}

// NewReader begins to read a recording from r and returns once its head is
// read. If r is an io.Closer, [Reader.Close] closes it.
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{blocks: newBlockReader(r)}
	rd.closer, _ = r.(io.Closer)
	if err := rd.head(); err != nil {
		return nil, err
	}
	return rd, nil
}

// head reads the section header and interface 0.
func (r *Reader) head() error {
	if err := r.blocks.fill(12); err != nil {
		if !errors.Is(err, io.EOF) {
			return err
		}
		got := r.blocks.buf[:r.blocks.n]
		switch {
		case len(got) == 0:
			return ErrEmpty
		case bytes.HasPrefix([]byte{0x0A, 0x0D, 0x0D, 0x0A}, got[:min(len(got), 4)]):
			return ErrTruncated
		}
		return ErrNotRecording
	}
	first := r.blocks.buf[:12]
	if le.Uint32(first) != blockSection || (le.Uint32(first[8:]) != byteOrderMagic && be.Uint32(first[8:]) != byteOrderMagic) {
		return ErrNotRecording
	}
	if le.Uint32(first[8:]) != byteOrderMagic {
		return ErrForeign // h2sniff writes little-endian on every machine
	}
	_, body, err := r.blocks.next()
	if err != nil {
		return err
	}
	if err := checkSection(body); err != nil {
		return err
	}
	typ, body, err := r.blocks.next()
	switch {
	case errors.Is(err, io.EOF):
		return ErrTruncated
	case err != nil:
		return err
	case typ != blockInterface:
		return r.blocks.damaged("no description of interface 0")
	}
	n, err := r.describe(body)
	if err != nil {
		return err
	}
	r.start = n.unixNano()
	r.conns = append(r.conns, nil)
	return nil
}

// checkSection tells from a section header whether h2sniff wrote the file, and
// in the form that Reader knows.
func checkSection(body []byte) error {
	if len(body) < 16 || le.Uint16(body[4:]) != 1 {
		return ErrForeign
	}
	var app, comment []byte
	options := body[16:]
	for {
		code, value, rest, ok := nextOption(options)
		if !ok {
			break
		}
		switch code {
		case optSectionApplication:
			app = value
		case optComment:
			comment = value
		}
		options = rest
	}
	// A program that edits a recording keeps the comment but puts its own
	// name for the application.
	name, _, _ := bytes.Cut(app, []byte(" "))
	if string(name) != application || !bytes.HasPrefix(comment, []byte("h2sniff recording, ")) {
		return ErrForeign
	}
	if !bytes.HasPrefix(comment, []byte(formLine)) {
		return ErrNewer
	}
	return nil
}

// Start is the moment that elapsed times count from (Options.Start), in
// nanoseconds since the Unix epoch; 0 if the writer gave none.
func (r *Reader) Start() int64 { return r.start }

// Read fills ev with the next event. The error is io.EOF at the end of a whole
// recording and after Close, ErrTruncated or one that wraps ErrDamaged once
// all whole events have been returned, or that of the underlying reader.
func (r *Reader) Read(ev *capture.Event) error {
	if r.closed.Load() {
		return io.EOF
	}
	if r.err != nil {
		return r.err
	}
	if err := r.read(ev); err != nil {
		*ev = capture.Event{}
		if r.closed.Load() {
			err = io.EOF
		}
		r.err = err
		return err
	}
	return nil
}

func (r *Reader) read(ev *capture.Event) error {
	*ev = capture.Event{}
	for {
		typ, body, err := r.blocks.next()
		if errors.Is(err, io.EOF) && (!r.ended || r.pending != nil) {
			return ErrTruncated
		}
		if err != nil {
			return err
		}
		done := false
		switch typ {
		case blockPacket:
			done, err = r.packet(body, ev)
		case blockInterface:
			done, err = r.connection(body, ev)
		case blockStatistics:
			err = r.statistics(body)
		case blockSection:
			err = r.blocks.damaged("a second section; give one recording at a time")
		}
		if err != nil || done {
			return err
		}
	}
}

// Stats tells what the events read so far add up to, with the events lost as
// of the last counters in the file; at the end of a whole recording it gives
// the final counters of the source that was recorded.
func (r *Reader) Stats() capture.Stats {
	r.shared.Lock()
	defer r.shared.Unlock()
	return r.shared.stats
}

// Close closes the underlying reader if it is an io.Closer; a Read that waits
// ends if closing ends the underlying one, as it does for files that
// [Open] opened.
func (r *Reader) Close() error {
	if r.closed.Swap(true) || r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// statistics takes over the counters of a statistics block.
func (r *Reader) statistics(body []byte) error {
	if len(body) < 12 {
		return r.blocks.damaged("a short statistics block")
	}
	_, n, err := r.options(body[12:])
	if err != nil || n == nil {
		return err
	}
	if n.Event == noteStatistics && r.Now != nil {
		r.Now(int64(uint64(le.Uint32(body[4:]))<<32 | uint64(le.Uint32(body[8:]))))
	}
	s := n.stats()
	r.shared.Lock()
	defer r.shared.Unlock()
	switch n.Event {
	case noteStatistics:
		r.shared.stats.LostEvents, r.shared.stats.Missed = s.LostEvents, s.Missed
	case noteEnd:
		r.shared.stats = s
		r.ended = true
	}
	return nil
}

// options gives the thread option and the note among a block's options; each
// is nil where it is not there.
func (r *Reader) options(b []byte) (thread []byte, n *note, err error) {
	for {
		code, value, rest, ok := nextOption(b)
		if !ok {
			return thread, n, nil
		}
		switch {
		case code == optPacketThread && len(value) == 8:
			thread = value
		case code == optComment && n == nil:
			if n, err = parseNote(value); err != nil {
				return nil, nil, r.blocks.damaged("a note that cannot be read (%v)", err)
			}
		}
		b = rest
	}
}
