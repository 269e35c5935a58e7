// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/diagnose"
	"h2sniff/decode/store"
)

// calls are the events of one connection, and how many frames are in them.
type calls struct {
	events []capture.Event
	frames int
}

// speaker writes one direction.
func (c *calls) speaker(d capture.Direction) *speaker {
	s := &speaker{conn: 1, dir: d, write: func(ev *capture.Event) {
		ev.Data = bytes.Clone(ev.Data)
		c.events = append(c.events, *ev)
	}}
	s.fr, s.enc = http2.NewFramer(&s.out, nil), hpack.NewEncoder(&s.block)
	return s
}

// opening are the prefaces of a connection.
func (c *calls) opening() (client, server *speaker) {
	client, server = c.speaker(capture.Send), c.speaker(capture.Recv)
	c.events = append(c.events, capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}})
	client.out.WriteString(http2.ClientPreface)
	client.say(client.fr.WriteSettings())
	server.say(server.fr.WriteSettings())
	c.frames = 2
	return client, server
}

func (s *speaker) fields(fields ...hpack.HeaderField) []byte {
	s.block.Reset()
	for _, f := range fields {
		s.enc.WriteField(f)
	}
	return s.block.Bytes()
}

// smallCalls is traffic A: gRPC calls of small frames, several to a call.
func smallCalls(n int) *calls {
	rng := rand.New(rand.NewPCG(1, 2))
	c := new(calls)
	client, server := c.opening()
	octets := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for i := range n {
		id := uint32(2*i + 1)
		client.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: client.fields(
			hpack.HeaderField{Name: ":method", Value: "POST"}, hpack.HeaderField{Name: ":scheme", Value: "https"},
			hpack.HeaderField{Name: ":path", Value: fmt.Sprintf("/shop.v1.Cart/Method%d", rng.IntN(12))},
			hpack.HeaderField{Name: ":authority", Value: "cart.internal:8443"},
			hpack.HeaderField{Name: "content-type", Value: "application/grpc"},
			hpack.HeaderField{Name: "user-agent", Value: "grpc-go/1.75.0"}, hpack.HeaderField{Name: "te", Value: "trailers"},
			hpack.HeaderField{Name: "grpc-timeout", Value: fmt.Sprintf("%du", 900000+rng.IntN(99999)), Sensitive: true},
			hpack.HeaderField{Name: "x-request-id", Value: fmt.Sprintf("%016x", rng.Uint64()), Sensitive: true})})
		client.say(client.fr.WriteData(id, true, octets(60+rng.IntN(80))))
		server.fr.WriteWindowUpdate(0, 100)
		server.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: server.fields(
			hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "content-type", Value: "application/grpc"},
			hpack.HeaderField{Name: "date", Value: fmt.Sprintf("Sun, 22 Nov 2026 21:%02d:%02d GMT", i/60000%60, i/1000%60)})})
		server.fr.WriteData(id, false, octets(80+rng.IntN(160)))
		server.say(server.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: true, BlockFragment: server.fields(
			hpack.HeaderField{Name: "grpc-status", Value: "0"}, hpack.HeaderField{Name: "grpc-message", Value: ""})}))
		c.frames += 6
	}
	return c
}

// largeFrames is traffic B: a download in DATA frames of 16 KiB.
func largeFrames(n int) *calls {
	c := new(calls)
	client, server := c.opening()
	client.say(client.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true,
		BlockFragment: client.fields(get("/large")...)}))
	server.say(server.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true,
		BlockFragment: server.fields(hpack.HeaderField{Name: ":status", Value: "200"})}))
	body := bytes.Repeat([]byte("16 octets of it "), 1<<10)
	c.frames += 2
	for i := range n {
		server.say(server.fr.WriteData(1, false, body))
		c.frames++
		if i%4 == 3 {
			client.say(client.fr.WriteWindowUpdate(0, 1<<16))
			c.frames++
		}
	}
	return c
}

// octets gives the octets of a direction, without the preface.
func (c *calls) octets(d capture.Direction) []byte {
	var b []byte
	for _, ev := range c.events {
		if ev.Direction == d {
			b = append(b, ev.Data...)
		}
	}
	return bytes.TrimPrefix(b, []byte(http2.ClientPreface))
}

// headerWalk reads frame headers by hand and field blocks with x/net's hpack.
func headerWalk(octets [2][]byte) {
	for _, p := range octets {
		var list []hpack.HeaderField
		dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { list = append(list, f) })
		for len(p) >= 9 {
			n := 9 + int(p[0])<<16 + int(p[1])<<8 + int(p[2])
			if p[3] == byte(http2.FrameHeaders) {
				list = list[:0]
				dec.Write(p[9:n])
				dec.Close()
			}
			p = p[n:]
		}
	}
}

// framer reads with x/net's Framer and hpack.
func framer(b *testing.B, octets [2][]byte) {
	for _, p := range octets {
		var list []hpack.HeaderField
		dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { list = append(list, f) })
		fr := http2.NewFramer(io.Discard, bytes.NewReader(p))
		fr.SetReuseFrames()
		for {
			f, err := fr.ReadFrame()
			if err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				list = list[:0]
				dec.Write(h.HeaderBlockFragment())
				dec.Close()
			}
		}
	}
}

// feedEvents decodes events and hands the rows on.
func feedEvents(events []capture.Event, row func(*decode.Row)) {
	c := decode.NewConn(1)
	for i := range events {
		c.Feed(&events[i], row)
	}
}

// BenchmarkTable prints one table: decoding beside x/net's, reading a recording
// of 1 M frames beside tshark.
func BenchmarkTable(b *testing.B) {
	needPrograms(b, "tshark")
	for b.Loop() {
		var text strings.Builder
		w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "traffic\tdecoder\tM frames/s\tallocations/frame\toctets/stored frame\t")
		for _, traffic := range []struct {
			name  string
			calls *calls
		}{{"A", smallCalls(50_000)}, {"B", largeFrames(8_000)}} {
			c := traffic.calls
			octets := [2][]byte{c.octets(0), c.octets(1)}
			stored := 0.0
			for _, how := range []struct {
				name string
				run  func()
			}{
				{"header walk + x/net hpack", func() { headerWalk(octets) }},
				{"x/net Framer + hpack", func() { framer(b, octets) }},
				{"h2sniff decode", func() { feedEvents(c.events, func(*decode.Row) {}) }},
				{"h2sniff decode + diagnose", func() {
					t, seq := diagnose.New(1), uint64(0)
					feedEvents(c.events, func(r *decode.Row) {
						seq++
						t.Row(seq, r, func(*diagnose.Diagnosis) {})
					})
				}},
				{"h2sniff decode + store", func() {
					st := store.New(store.Options{History: 1 << 30})
					feedEvents(c.events, func(r *decode.Row) { st.Append(r) })
					snap := st.Snapshot()
					stored = float64(snap.HistoryUsed) / float64(snap.Frames)
				}},
			} {
				stored = 0
				rate, allocations := speed(how.run, c.frames)
				fmt.Fprintf(w, "%s\t%s\t%.2f\t%.3f\t", traffic.name, how.name, rate/1e6, allocations)
				if stored > 0 {
					fmt.Fprintf(w, "%.0f", stored)
				}
				fmt.Fprintln(w, "\t")
			}
		}
		w.Flush()
		path := filepath.Join(b.TempDir(), "generated.pcapng")
		decodeAs := strings.Fields(generateRecording(b, path, 1_000_000))
		fmt.Fprintln(w, "\n1 M frames\tseconds\tof processors\tMiB\t")
		for _, args := range [][]string{
			{h2sniff, "dump", "-r", path}, {h2sniff, "dump", "--format", "json", "-r", path},
			append([]string{"tshark", "-r", path}, decodeAs...),
		} {
			processor, elapsed, size := spent(b, args)
			name := strings.Join(args[:len(args)-2], " ")
			if args[0] == "tshark" {
				name = "tshark"
			}
			fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%d\t\n", filepath.Base(name), elapsed.Seconds(), processor.Seconds(), size>>10)
		}
		w.Flush()
		fmt.Print("\n", text.String()) // b.Log would cut it
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// speed runs something for a second or more: frames/s of the fastest run, and
// allocations.
func speed(run func(), frames int) (rate, allocations float64) {
	run()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for begun := time.Now(); time.Since(begun) < time.Second; n++ {
		once := time.Now()
		run()
		rate = max(rate, float64(frames)/time.Since(once).Seconds())
	}
	runtime.ReadMemStats(&after)
	return rate, float64(after.Mallocs-before.Mallocs) / float64(n*frames)
}

// spent runs a program with its output thrown away: its processor time and, as
// seen each 5 ms, its largest size in KiB. (That of its rusage is not below ours.)
func spent(t testing.TB, args []string) (processor, elapsed time.Duration, size int) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	begun := time.Now()
	if err := cmd.Start(); err != nil { // no file for its output: /dev/null
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(begun), size
		case <-time.After(5 * time.Millisecond):
			if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
				if _, peak, ok := strings.Cut(string(status), "VmHWM:"); ok {
					fmt.Sscan(peak, &size)
				}
			}
		}
	}
}
