// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"h2sniff/capture"
	"h2sniff/capture/recording"
)

// readRecording gives the events of a recording.
func readRecording(t testing.TB, path string) []capture.Event {
	t.Helper()
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var events []capture.Event
	for {
		var ev capture.Event
		if err := r.Read(&ev); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			t.Fatal(err)
		}
		ev.Data = bytes.Clone(ev.Data)
		events = append(events, ev)
	}
}

// writeRecording writes events and gives what tshark needs to decode them.
func writeRecording(t testing.TB, path string, write func(func(*capture.Event))) (decodeAs string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := recording.NewWriter(file, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(func(ev *capture.Event) {
		if err := w.Write(ev); err != nil {
			t.Fatal(err)
		}
	})
	decodeAs = w.DecodeAs()
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return decodeAs
}

// oneFrameAPacket copies a recording with the calls cut and put together so
// that none has more than one frame.
func oneFrameAPacket(t testing.TB, from, to string) (decodeAs string) {
	t.Helper()
	type direction struct {
		conn capture.ConnID
		dir  capture.Direction
	}
	type pending struct {
		data  []byte
		pos   uint64
		begun bool
	}
	held := make(map[direction]*pending)
	return writeRecording(t, to, func(write func(*capture.Event)) {
		for _, ev := range readRecording(t, from) {
			if ev.Kind != capture.Data {
				write(&ev)
				continue
			}
			d := direction{ev.Conn, ev.Direction}
			p := held[d]
			if p == nil {
				p = new(pending)
				held[d] = p
			}
			if ev.Offset != p.pos+uint64(len(p.data)) || ev.Length != uint64(len(ev.Data)) {
				t.Fatalf("octets of %v are missing at %d", ev.Conn, ev.Offset)
			}
			p.data = append(p.data, ev.Data...)
			for {
				n := 0
				if !p.begun && len(p.data) >= 3 && string(p.data[:3]) == "PRI" {
					n = len(http2.ClientPreface)
				} else if len(p.data) >= 9 {
					n = 9 + int(p.data[0])<<16 + int(p.data[1])<<8 + int(p.data[2])
				}
				if n == 0 || n > len(p.data) {
					break
				}
				one := ev
				one.Offset, one.Length, one.Data = p.pos, uint64(n), p.data[:n]
				write(&one)
				p.data, p.pos, p.begun = p.data[n:], p.pos+uint64(n), true
			}
		}
	})
}

// speaker makes the frames of one direction of a connection.
type speaker struct {
	conn  capture.ConnID
	dir   capture.Direction
	write func(*capture.Event)
	rng   *rand.Rand
	out   bytes.Buffer
	fr    *http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	pos   uint64
}

// say sends what was written, as one call.
func (s *speaker) say(err error) {
	if err != nil {
		panic(err)
	}
	s.write(&capture.Event{Kind: capture.Data, Conn: s.conn, Direction: s.dir, Time: int64(s.pos + 1),
		Offset: s.pos, Length: uint64(s.out.Len()), Data: s.out.Bytes()})
	s.pos += uint64(s.out.Len())
	s.out.Reset()
}

// section encodes a field section; now and then with a table of another size.
func (s *speaker) section(request bool) []byte {
	s.block.Reset()
	if s.rng.IntN(40) == 0 {
		s.enc.SetMaxDynamicTableSize([]uint32{0, 100, 1000, 4096}[s.rng.IntN(4)])
	}
	field := func(name, value string) {
		if err := s.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: s.rng.IntN(12) == 0}); err != nil {
			panic(err)
		}
	}
	if request {
		field(":method", []string{"GET", "POST", "OPTIONS"}[s.rng.IntN(3)])
		field(":scheme", "https")
		field(":authority", fmt.Sprintf("host%d.example:8443", s.rng.IntN(5)))
		field(":path", fmt.Sprintf("/item/%d?page=%d", s.rng.IntN(30), s.rng.IntN(300)))
	} else {
		field(":status", []string{"200", "204", "404", "503", "226"}[s.rng.IntN(5)])
	}
	for range s.rng.IntN(8) {
		field(fmt.Sprintf("x-field-%d", s.rng.IntN(40)), fmt.Sprintf("value %x", s.rng.IntN(1<<s.rng.IntN(30))))
	}
	return s.block.Bytes()
}

// message sends a field section, in one frame or several.
func (s *speaker) message(stream uint32, request, end bool) (frames int) {
	block := s.section(request)
	p := http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: end}
	if s.rng.IntN(6) == 0 {
		p.PadLength = uint8(1 + s.rng.IntN(255))
	}
	if s.rng.IntN(6) == 0 {
		p.Priority = http2.PriorityParam{StreamDep: uint32(s.rng.IntN(1 << 20)), Weight: uint8(1 + s.rng.IntN(255)), Exclusive: s.rng.IntN(2) == 0}
	}
	var rest []byte
	if s.rng.IntN(8) == 0 && len(block) > 2 {
		at := 1 + s.rng.IntN(len(block)-1)
		p.BlockFragment, rest, p.EndHeaders = block[:at], block[at:], false
	}
	s.say(s.fr.WriteHeaders(p))
	if rest == nil {
		return 1
	}
	s.say(s.fr.WriteContinuation(stream, true, rest))
	return 2
}

// other sends a frame of some other type.
func (s *speaker) other(stream uint32) {
	n := s.rng.Uint32() >> s.rng.IntN(31)
	switch s.rng.IntN(9) {
	case 0:
		s.say(s.fr.WriteSettings(
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: n & (1<<31 - 1)},
			http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<14 + n&0xffff}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: n}))
	case 1:
		s.say(s.fr.WriteSettingsAck())
	case 2:
		s.say(s.fr.WritePing(n&1 == 0, [8]byte{byte(n), byte(n >> 8), 3, 4, 5, 6, 7, byte(n >> 16)}))
	case 3:
		s.say(s.fr.WriteRSTStream(stream, http2.ErrCode(n)))
	case 4:
		s.say(s.fr.WriteGoAway(n&(1<<31-1), http2.ErrCode(n&15), nil))
	case 5:
		s.say(s.fr.WriteWindowUpdate(stream*(n&1), 1+n&(1<<30-1)))
	case 6:
		s.say(s.fr.WritePriority(stream, http2.PriorityParam{StreamDep: n & (1<<31 - 1), Weight: uint8(n), Exclusive: n&1 == 0}))
	case 7:
		s.say(s.fr.WriteRawFrame(0x2a, http2.Flags(n), stream, make([]byte, n&63)))
	case 8:
		s.say(s.fr.WriteDataPadded(stream, false, make([]byte, 1+n&255), make([]byte, 1+n>>8&63)))
	}
}

// generateRecording writes connections with at least n frames, each frame a
// call of its own.
func generateRecording(t testing.TB, path string, n int) (decodeAs string) {
	rng := rand.New(rand.NewPCG(11, 12))
	return writeRecording(t, path, func(write func(*capture.Event)) {
		frames := 0
		for id := capture.ConnID(1); frames < n; id++ {
			role := capture.Role(1 + id%2)
			write(&capture.Event{Kind: capture.Open, Conn: id, Time: 1, Info: &capture.ConnInfo{PID: 7, TID: 7, Comm: "generated", Library: "none", Role: role, Fresh: true}})
			var sides [2]*speaker // client, server
			for i := range sides {
				s := &speaker{conn: id, dir: capture.Direction(i), write: write, rng: rng}
				if role == capture.Server {
					s.dir = s.dir.Reverse()
				}
				s.fr, s.enc = http2.NewFramer(&s.out, nil), hpack.NewEncoder(&s.block)
				s.fr.AllowIllegalWrites = true
				sides[i] = s
			}
			client, server := sides[0], sides[1]
			client.out.WriteString(http2.ClientPreface)
			client.say(nil)
			client.say(client.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}))
			server.say(server.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096}))
			frames += 2
			for stream := uint32(1); stream < 1000 && frames < n; stream += 2 {
				frames += client.message(stream, true, true)
				if rng.IntN(20) == 0 {
					block := server.section(true)
					server.say(server.fr.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: stream + 1, BlockFragment: block, EndHeaders: true}))
					frames++
				}
				frames += server.message(stream, false, false)
				server.say(server.fr.WriteData(stream, false, make([]byte, 1+rng.IntN(400))))
				sides[rng.IntN(2)].other(stream)
				frames += 2
				if rng.IntN(2) == 0 {
					frames += server.message(stream, false, true)
				}
			}
			write(&capture.Event{Kind: capture.Close, Conn: id, Time: 1 << 40})
		}
	})
}
