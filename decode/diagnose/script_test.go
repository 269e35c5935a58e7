// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script plays a connection, as one of its ends sees it, through the decoder
// into a Tracker.
type script struct {
	t     *testing.T
	role  capture.Role // of the traced process
	now   time.Duration
	conn  *decode.Conn
	track *Tracker
	seq   uint64
	pos   [2]uint64
	last  capture.Direction // that something was sent in
	got   []Diagnosis
	enc   *hpack.Encoder
	block bytes.Buffer
}

// newScript begins a connection: prefaces and settings are exchanged.
func newScript(t *testing.T, role capture.Role, clientSettings, serverSettings []http2.Setting) *script {
	s := blank(t, role, true)
	s.client(http2.ClientPreface + settings(clientSettings...))
	s.server(settings(serverSettings...) + ack)
	s.client(ack)
	return s
}

// blank is a connection of which nothing was seen; fresh, if its beginning will
// be.
func blank(t *testing.T, role capture.Role, fresh bool) *script {
	s := &script{t: t, role: role, conn: decode.NewConn(1), track: New(1)}
	s.enc = hpack.NewEncoder(&s.block)
	s.block.Reset()
	s.feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: fresh, Role: role}})
	return s
}

func (s *script) feed(ev *capture.Event) {
	s.now += time.Millisecond
	ev.Conn, ev.Time = 1, int64(time.Hour+s.now)
	s.conn.Feed(ev, func(r *decode.Row) {
		s.seq++
		s.track.Row(s.seq, r, func(d *Diagnosis) { s.got = append(s.got, *d) })
	})
}

func (s *script) send(d capture.Direction, data string) {
	ev := capture.Event{Kind: capture.Data, Direction: d, Offset: s.pos[d], Length: uint64(len(data)), Data: []byte(data)}
	s.pos[d] += ev.Length
	s.last = d
	s.feed(&ev)
}

// answer sends a frame that means nothing from the side that did not send last:
// it shows that nothing of that side was lost.
func (s *script) answer() {
	if d := s.last.Reverse(); s.pos[d] > 0 {
		s.send(d, frame(0x2a, 0, 0, ""))
	}
}

func (s *script) dir(client bool) capture.Direction {
	if client == (s.role == capture.Client) {
		return capture.Send
	}
	return capture.Recv
}

func (s *script) client(data string) { s.send(s.dir(true), data) }
func (s *script) server(data string) { s.send(s.dir(false), data) }

// lose loses n octets of the client or the server.
func (s *script) lose(client bool, n uint64) {
	d := s.dir(client)
	ev := capture.Event{Kind: capture.Lost, Direction: d, Offset: s.pos[d], Length: n}
	s.pos[d] += n
	s.feed(&ev)
}

func (s *script) wait(d time.Duration) { s.now += d }

func (s *script) close() { s.feed(&capture.Event{Kind: capture.Close}) }

// fields encodes a field section: name, value, name, value.
func (s *script) fields(nv ...string) string {
	s.block.Reset()
	for i := 0; i < len(nv); i += 2 {
		s.enc.WriteField(hpack.HeaderField{Name: nv[i], Value: nv[i+1], Sensitive: true})
	}
	return s.block.String()
}

const (
	endStream  = http2.FlagDataEndStream
	endHeaders = http2.FlagHeadersEndHeaders
)

func frame(t http2.FrameType, f http2.Flags, id uint32, payload string) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), byte(t), byte(f)}
	return string(binary.BigEndian.AppendUint32(b, id)) + payload
}

func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }

var (
	ack        = frame(http2.FrameSettings, http2.FlagSettingsAck, 0, "")
	pingFrame  = frame(http2.FramePing, 0, 0, "01234567")
	pingAck    = frame(http2.FramePing, http2.FlagPingAck, 0, "01234567")
	requestNV  = []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}
	responseNV = []string{":status", "200"}
)

func settings(list ...http2.Setting) string {
	var p []byte
	for _, s := range list {
		p = binary.BigEndian.AppendUint16(p, uint16(s.ID))
		p = binary.BigEndian.AppendUint32(p, s.Val)
	}
	return frame(http2.FrameSettings, 0, 0, string(p))
}

func data(id uint32, f http2.Flags, n int) string {
	return frame(http2.FrameData, f, id, string(make([]byte, n)))
}

func update(id, inc uint32) string { return frame(http2.FrameWindowUpdate, 0, id, u32(inc)) }

func rst(id uint32, code http2.ErrCode) string {
	return frame(http2.FrameRSTStream, 0, id, u32(uint32(code)))
}

func goAwayFrame(last uint32, code http2.ErrCode, debug string) string {
	return frame(http2.FrameGoAway, 0, 0, u32(last)+u32(uint32(code))+debug)
}

// headers is a HEADERS frame with END_HEADERS.
func (s *script) headers(id uint32, f http2.Flags, nv ...string) string {
	return frame(http2.FrameHeaders, f|endHeaders, id, s.fields(nv...))
}

// get is a request without content.
func (s *script) get(id uint32) string { return s.headers(id, endStream, requestNV...) }

// post is a request that goes on.
func (s *script) post(id uint32) string { return s.headers(id, 0, requestNV...) }

// ok is the beginning of a response.
func (s *script) ok(id uint32) string { return s.headers(id, 0, responseNV...) }

// exchange is a whole request and response.
func (s *script) exchange(id uint32) {
	s.client(s.get(id))
	s.server(s.ok(id) + data(id, endStream, 1))
}

func (s *script) promise(on, promised uint32) string {
	return frame(http2.FramePushPromise, endHeaders, on, u32(promised)+s.fields(requestNV...))
}

func (s *script) has(code string) *Diagnosis {
	for i := range s.got {
		if s.got[i].Code == code {
			return &s.got[i]
		}
	}
	return nil
}
