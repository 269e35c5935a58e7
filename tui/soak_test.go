// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// replay writes frames of 100 connections to a store, a request of three frames
// after the other.
type replay struct {
	st     *store.Store
	n      uint64 // frames
	now    int64
	rows   [3]decode.Row
	fields [2][]decode.Field
}

func newReplay(st *store.Store) *replay {
	r := &replay{st: st, now: sampleStart}
	field := func(name, value string) decode.Field {
		return decode.Field{Name: name, Value: value, NameKnown: true, ValueKnown: true}
	}
	r.fields[0] = []decode.Field{field(":method", "POST"), field(":scheme", "https"), field(":authority", "api.example"),
		field(":path", "/v1/items"), field("content-type", "application/grpc")}
	r.fields[1] = []decode.Field{field(":status", "200"), field("content-type", "application/grpc")}
	for conn := range capture.ConnID(100) {
		st.Append(&decode.Row{Kind: decode.RowOpen, Conn: conn + 1, Time: r.now,
			Info: &capture.ConnInfo{PID: 4711, Comm: "nginx", Role: capture.Server, Fresh: true}})
		st.SetConn(conn+1, decode.HTTP2, capture.Server)
	}
	frame := func(t http2.FrameType, f http2.Flags, d capture.Direction, payload int) decode.Row {
		return decode.Row{Kind: decode.RowFrame, Direction: d, Payload: make([]byte, payload),
			Header: decode.FrameHeader{Type: t, Flags: f, Length: uint32(payload)}}
	}
	r.rows = [3]decode.Row{
		frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, capture.Recv, 30),
		frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, capture.Send, 10),
		frame(http2.FrameData, http2.FlagDataEndStream, capture.Send, 20),
	}
	for i := range r.fields {
		r.rows[i].Fields, r.rows[i].HasFields = r.fields[i], true
	}
	return r
}

// write writes n frames.
func (r *replay) write(n int) {
	for range n {
		request := r.n / 3
		row := &r.rows[r.n%3]
		row.Conn = capture.ConnID(request%100 + 1)
		row.Header.StreamID = uint32(request/100*2+1) & (1<<31 - 1)
		r.now += 10_000
		row.Time, row.TimeEnd = r.now, r.now
		r.st.Append(row)
		r.n++
	}
}

// pace writes perSecond frames a second until ctx ends, as far as the machine
// can.
func (r *replay) pace(ctx context.Context, perSecond int) {
	const interval = 2 * time.Millisecond
	for begin, written := time.Now(), 0; ctx.Err() == nil; time.Sleep(interval) {
		if due := int(time.Since(begin).Seconds() * float64(perSecond)); due > written {
			r.write(due - written)
			written = due
		}
	}
}

// watcher sees what is written to a terminal go by, and keeps nothing.
type watcher struct{ p *terminal }

// answer presses keys and waits until the screen is sent a text.
func (w *watcher) answer(t testing.TB, keys, text string) time.Duration {
	t.Helper()
	w.p.mu.Lock()
	w.p.screen.Reset()
	w.p.mu.Unlock()
	begin := time.Now()
	if _, err := w.p.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(w.p.text(), text) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%q is not answered with %q in %v: %q", keys, text, time.Since(begin), w.p.text())
		}
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(begin)
}

// TestSoak replays 100,000 frames/s into a UI on a terminal: memory stays flat,
// no frame is lost, every key is answered. SOAK says for how long.
func TestSoak(t *testing.T) {
	length := 3 * time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	st := store.New(store.Options{History: 32 << 20})
	r := newReplay(st)
	r.write(400_000) // a history that is full from the beginning
	p := newTerminal(t, 120, 36)
	w := &watcher{p: p}
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		r.pace(ctx, 100_000)
	}()
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), st, Options{Live: true, Source: "replay", Renderer: renderer(true)}, p.slave, p.slave)
	}()
	p.await(t, "● LIVE")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	steps := []struct{ keys, want string }{
		{"?", "half a page up"}, {"?", "1 Connections"}, {" ", "PAUSED"}, {" ", "LIVE"}, {"kkk", "LIVE"}, {"G", "FOLLOW"},
		{"/", "tab completes"}, {"type==DATA", "match"}, {"\r", "✓"}, {"\x15", ""}, {"\x1b", "Frames"},
		{"z", "[3 Frames"}, {"z", "1 Connections"}, {"e", "problem"}, {"\x06", "octets as"}, {"nowhere\r", "nowhere"},
		{"1", "1 Connections"}, {"S", "connections "}, {"3G", "FOLLOW"}, {"m", "a letter"}, {"b", "is mark b"}, {":", "command"}, {"\x1b", "quit"},
	}
	var took []time.Duration
	var first uint64
	begin := time.Now()
	for round := 0; time.Since(begin) < length || round < 2; round++ {
		for _, s := range steps {
			took = append(took, w.answer(t, s.keys, s.want))
			time.Sleep(60 * time.Millisecond) // an escape with a key right behind it is another key
		}
		if round == 0 {
			first = heap()
		}
	}
	last := heap()
	cancel()
	<-wrote
	p.master.WriteString("\x1bq")
	time.Sleep(100 * time.Millisecond)
	p.master.WriteString("q")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	n := st.Snapshot()
	if n.Frames != r.n {
		t.Errorf("%d frames in the store, %d were written", n.Frames, r.n)
	}
	if last > first+first/8+4<<20 {
		t.Errorf("the heap grew from %d to %d MiB", first>>20, last>>20)
	}
	slices.Sort(took)
	t.Logf("%v, %d frames (%.0f a second), heap %d to %d MiB, %d keys answered: median %v, 99th percentile %v, slowest %v",
		time.Since(begin).Round(time.Second), r.n, float64(r.n-400_000)/time.Since(begin).Seconds(), first>>20, last>>20, len(took),
		took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

// BenchmarkKeyToScreen is the time from a key to the screen that answers it, on
// a terminal, with 10 M frames stored and 200,000 frames/s coming in, also where
// each of them evicts another. What the kernel's terminal takes of it by itself is
// much where other programs want the processors: it is measured beside.
func BenchmarkKeyToScreen(b *testing.B) {
	b.Run("terminal alone", func(b *testing.B) {
		p := newTerminal(b, 120, 36)
		if _, err := term.MakeRaw(int(p.slave.Fd())); err != nil {
			b.Fatal(err)
		}
		go io.Copy(p.slave, p.slave)
		w, took := &watcher{p: p}, latencies{}
		for b.Loop() {
			took.add(w.answer(b, "j", "j"))
		}
		took.report(b)
	})
	for _, bb := range []struct {
		name    string
		history int64
		rates   []int
	}{{"10 M held", 4 << 30, []int{0, 200_000}}, {"evicting", store.DefaultHistory, []int{200_000}}} {
		st := store.New(store.Options{History: bb.history})
		r := newReplay(st)
		r.write(10_000_000)
		if n := st.Snapshot(); (n.Evicted > 0) != (bb.history == store.DefaultHistory) {
			b.Fatalf("%d rows were evicted", n.Evicted)
		}
		for _, rate := range bb.rates {
			b.Run(fmt.Sprintf("%s, %d frames/s", bb.name, rate), func(b *testing.B) {
				keysToScreen(b, st, func(ctx context.Context) {
					if rate > 0 {
						r.pace(ctx, rate)
					}
				})
			})
		}
	}
}

var detailOf = regexp.MustCompile(`Detail #([0-9,]+) `)

// keysToScreen moves the cursor among the newest rows, while others come.
func keysToScreen(b *testing.B, st *store.Store, write func(context.Context)) {
	p := newTerminal(b, 120, 36)
	w := &watcher{p: p}
	ctx, cancel := context.WithCancel(b.Context())
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		write(ctx)
	}()
	done := make(chan error, 1)
	go func() {
		done <- Run(b.Context(), st, Options{Live: true, Source: "replay", Renderer: renderer(true)}, p.slave, p.slave)
	}()
	p.await(b, "● LIVE")
	// newest goes to the newest row but a few, and tells its number.
	newest := func() uint64 {
		p.master.WriteString("Gkk")
		time.Sleep(300 * time.Millisecond)
		w.answer(b, "k", "Detail #")
		for {
			if found := detailOf.FindStringSubmatch(p.text()); found != nil {
				n, err := strconv.ParseUint(strings.ReplaceAll(found[1], ",", ""), 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
			time.Sleep(time.Millisecond)
		}
	}
	var took latencies
	row := uint64(0)
	for i := 0; b.Loop(); i++ {
		if i%500 == 0 { // before it is evicted
			row = newest()
		}
		key := "j"
		if row++; i%2 == 1 {
			row, key = row-2, "k"
		}
		took.add(w.answer(b, key, "Detail #"+commas(row)+" "))
		time.Sleep(3 * time.Millisecond) // keys do not come in step with the screen
	}
	took.report(b)
	p.master.WriteString("q")
	<-done
	cancel()
	<-wrote
}

// latencies are how long answers took.
type latencies []time.Duration

func (l *latencies) add(d time.Duration) { *l = append(*l, d) }

func (l latencies) report(b *testing.B) {
	slices.Sort(l)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(l[len(l)/2]), "ms/median")
	b.ReportMetric(ms(l[len(l)*99/100]), "ms/p99")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdleCPU is the CPU time that the UI takes while nothing happens.
func BenchmarkIdleCPU(b *testing.B) {
	p := newTerminal(b, 120, 36)
	tr := newTraffic(0)
	tr.requests(50)
	done := make(chan error, 1)
	go func() {
		done <- Run(b.Context(), tr.st, Options{Live: true, Source: "idle", Renderer: renderer(true)}, p.slave, p.slave)
	}()
	p.await(b, "● LIVE")
	time.Sleep(2 * time.Second) // until it is idle
	begin, used := time.Now(), cpuTime(b)
	for b.Loop() {
		time.Sleep(time.Second)
	}
	b.ReportMetric(float64(cpuTime(b)-used)/float64(time.Since(begin))*100, "%CPU")
	p.master.WriteString("q")
	<-done
}
