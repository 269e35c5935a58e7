// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"

	"golang.org/x/net/http2"
)

const (
	// longestFirstLine bounds the first line of HTTP/1 that is waited for.
	longestFirstLine = 8 << 10
	http1            = "HTTP/1." // as a status line begins, and a request line ends
	tlsHeaderSize    = 5         // of a record (RFC 8446, section 5.1)
	// longestAnswer is more than a server's first frame has, in octets, and less
	// than text read as a length.
	longestAnswer = 1 << 20
)

// verdict is what the first octets of a direction look like.
type verdict uint8

const (
	looksShort    verdict = iota // too few to tell
	looksPreface                 // the client connection preface
	looksSettings                // a SETTINGS frame that is no acknowledgement
	looksRequest                 // an HTTP/1 request line
	looksResponse                // an HTTP/1 status line
	looksOther
	looksTLS   // a TLS record
	looksFrame // the header of a frame
	looksUnclear
)

// classify judges the first octets of a direction, or of a call.
func classify(b []byte) verdict {
	if n := min(len(b), len(http2.ClientPreface)); string(b[:n]) == http2.ClientPreface[:n] {
		if n < len(http2.ClientPreface) {
			return looksShort
		}
		return looksPreface
	}
	if v := classifySettings(b); v != looksOther {
		return v
	}
	if n := min(len(b), len(http1)); string(b[:n]) == http1[:n] {
		if n < len(http1) {
			return looksShort
		}
		return looksResponse
	}
	return classifyRequest(b)
}

func classifySettings(b []byte) verdict {
	// Length below 2^16, type, no flag, stream 0.
	for i, want := range [frameHeaderSize]int{0, -1, -1, int(http2.FrameSettings), 0, 0, 0, 0, 0} {
		if i == len(b) {
			return looksShort
		}
		if want >= 0 && int(b[i]) != want {
			return looksOther
		}
	}
	if h := parseHeader(b); h.Length%6 != 0 || h.Length > defaultMaxFrameSize {
		return looksOther
	}
	return looksSettings
}

// classifyRequest looks for method SP target SP version (RFC 9112, section 3),
// with the methods that are in use: 3 to 20 upper-case letters.
func classifyRequest(b []byte) verdict {
	i := 0
	for i < len(b) && i <= 20 && b[i] >= 'A' && b[i] <= 'Z' {
		i++
	}
	if i == len(b) && i <= 20 {
		return looksShort
	}
	if i < 3 || i > 20 || b[i] != ' ' {
		return looksOther
	}
	line, _, found := bytes.Cut(b, []byte{'\n'})
	for _, ch := range line {
		if ch < ' ' && ch != '\r' {
			return looksOther
		}
	}
	if !found {
		if len(b) > longestFirstLine {
			return looksOther
		}
		return looksShort
	}
	sp := bytes.LastIndexByte(line, ' ')
	if sp > i && bytes.HasPrefix(line[sp+1:], []byte(http1)) {
		return looksRequest
	}
	return looksOther
}

// classifyAnswer judges the first octets of a direction whose other one has the
// client connection preface, and which is due to begin with a frame. last says
// that no more octets come.
func classifyAnswer(b []byte, last bool) verdict {
	if v := classifySettings(b); v == looksSettings {
		return v
	}
	if v := classify(b); v == looksResponse || v == looksShort && !last && b[0] == http1[0] && len(b) < len(http1) {
		return v
	}
	if len(b) < 3 {
		return looksShort
	}
	if uint32(b[0])<<16|uint32(b[1])<<8|uint32(b[2]) > longestAnswer {
		if v := classifyTLS(b); v != looksShort || !last {
			return v
		}
		return looksOther
	}
	if len(b) < frameHeaderSize {
		return looksShort
	}
	if known(http2.FrameType(b[3])) && b[5]&0x80 == 0 {
		return looksFrame
	}
	return looksUnclear
}

// classifyTLS looks for the header of a record of TLS: its type, version and
// length.
func classifyTLS(b []byte) verdict {
	for i, at := range b[:min(len(b), tlsHeaderSize)] {
		switch {
		case i == 0 && at >= 20 && at <= 23, i == 1 && at == 3, i == 2 && at <= 4, i == 3 && at <= 0x48, i == 4:
		default:
			return looksOther
		}
	}
	if len(b) < tlsHeaderSize {
		return looksShort
	}
	return looksTLS
}

// start judges the first octets of the direction, which are in the window.
func (d *direction) start() {
	c, rev := d.conn, d.reverse()
	var v verdict
	if d.answers() {
		v = classifyAnswer(d.win.buf, false)
	} else if v = classify(d.win.buf); v == looksOther && c.proto == HTTP2 && d.mayBeStart() {
		v = classifyTLS(d.win.buf)
	}
	switch v {
	case looksShort:
	case looksPreface:
		c.preface[d.dir] = true
		c.setRole(sender(d.dir), rolePreface)
		if rev.settingsFirst && !rev.fromStart {
			rev.fromStart = true
			rev.fields.table.proveStart()
		}
		d.begin()
		c.found(d)
		d.emitPreface()
		d.drain(d.win.base + uint64(len(http2.ClientPreface)))
		rev.review()
	case looksSettings:
		d.settingsFirst = true
		if !d.mayBeStart() && !c.preface[rev.dir] {
			// No proof: it can be sent at any time.
			d.startHunt()
			return
		}
		d.begin()
		c.found(d)
		d.drain(d.win.base)
		rev.review()
	case looksFrame:
		// A server's first frame, though not the right one.
		d.begin()
		d.drain(d.win.base)
	default:
		switch {
		case c.proto == HTTP2:
			if !d.tellOther(v) {
				d.startHunt()
			}
		case v == looksRequest:
			c.setRole(sender(d.dir), roleFields)
			c.giveUp(HTTP1)
		case v == looksResponse:
			c.setRole(sender(rev.dir), roleFields)
			c.giveUp(HTTP1)
		case !d.mayBeStart():
			d.startHunt()
		case rev.refuted || len(d.win.buf) > windowSize:
			c.giveUp(OtherProtocol)
		default:
			d.refuted = true // the other direction may still tell
		}
	}
}

// mayBeStart tells whether the first octet in the window is the first one of
// the connection in this direction.
func (d *direction) mayBeStart() bool { return d.conn.fresh() && d.win.base == 0 }

// answers tells whether the first octet in the window is the first one that a
// server has sent, or will, to a client that speaks HTTP/2.
func (d *direction) answers() bool {
	return d.conn.proto == HTTP2 && d.conn.preface[d.dir.Reverse()] && d.mayBeStart()
}

// tellOther says that the direction carries no HTTP/2, if its first octets, which
// are in the window and look like v, prove that.
func (d *direction) tellOther(v verdict) bool {
	c, rev := d.conn, d.dir.Reverse()
	start := d.mayBeStart()
	var p Protocol
	switch {
	case c.assumed:
		return false
	case v == looksResponse && (start || d.win.base == 0 && c.preface[rev]):
		p = HTTP1
		c.setRole(sender(rev), roleFields)
	case v == looksRequest && start:
		p = HTTP1
		c.setRole(sender(d.dir), roleFields)
	case v == looksTLS && start:
		p = TLS
	case v == looksOther && d.answers():
		p = OtherProtocol
	default:
		return false
	}
	first, last := d.win.markAt(d.win.base), d.win.markAt(d.win.end()-1)
	d.state = dirOther
	d.win, d.hunt = window{}, hunt{}
	c.row = Row{Kind: RowProtocol, Direction: d.dir, Conn: c.id, TID: first.tid, Time: first.time, TimeEnd: last.time, Protocol: p, OneWay: true}
	c.out()
	return true
}

// begin says that the first octet in the window is proven to be the first one
// of the connection in this direction.
func (d *direction) begin() {
	d.state, d.fromStart, d.found = dirFrames, true, false
	d.fields.table.start()
}

func (d *direction) emitPreface() {
	c := d.conn
	first := d.win.markAt(d.win.base)
	last := d.win.markAt(d.win.base + uint64(len(http2.ClientPreface)) - 1)
	c.row = Row{Kind: RowPreface, Direction: d.dir, Conn: c.id, TID: first.tid, Time: first.time, TimeEnd: last.time, Offset: d.win.base}
	c.out()
}

// found decides that the connection is HTTP/2.
func (c *Conn) found(d *direction) {
	if c.proto == HTTP2 {
		return
	}
	c.proto = HTTP2
	d.flushHeld()
	d.reverse().flushHeld()
}

// review looks again at octets that wait, now that the other direction has
// shown more.
func (d *direction) review() {
	if d.state == dirStart && len(d.win.buf) > 0 {
		d.start()
	}
	if d.state != dirHunt {
		return
	}
	if d.settingsFirst && d.fromStart && len(d.win.buf) > 0 && d.hunt.from == d.win.base {
		d.begin()
		d.drain(d.win.base)
		return
	}
	d.look(d.hunt.endCall)
}
