// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/store"
)

// A notice that may not be true any more leaves by itself; an alarm, and a
// question, wait for a key.
func TestNoticesLeave(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	wait := int(noticeShown/tickInterval) + 1
	press(m, "' b")
	do(m, later(1), later(2))
	if !strings.Contains(lastLine(m), "no mark b") {
		t.Fatalf("%q", lastLine(m))
	}
	do(m, later(2+wait))
	if strings.Contains(lastLine(m), "no mark b") {
		t.Errorf("after %v: %q", noticeShown, lastLine(m))
	}
	m.say("an alarm", true)
	m.dirty = true
	do(m, later(1000), later(1001+wait))
	if !strings.Contains(lastLine(m), "an alarm") {
		t.Errorf("an alarm has left: %q", lastLine(m))
	}
	press(m, "m")
	do(m, later(2000), later(2001+wait))
	if !strings.Contains(lastLine(m), "mark this row as") {
		t.Errorf("a question has left: %q", lastLine(m))
	}
}

// That the row under the cursor was evicted is not said of a pause.
func TestNoticeOfEvictionAndPause(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(100)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "g")
	evictAll(k)
	do(m, later(1))
	if !strings.Contains(lastLine(m), "was evicted") {
		t.Fatalf("%q", lastLine(m))
	}
	evictAll(k)
	press(m, "space")
	do(m, later(2))
	if strings.Contains(lastLine(m), "was evicted") {
		t.Errorf("paused: %q", lastLine(m))
	}
}

// What the last line has no room for can be read whole.
func TestMessages(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(1)
	long := "the recording is cut off: h2sniff was killed while it wrote, or the copy is not complete; \x1b[2Jeverything before the cut was read"
	m := newScreen(tr.st, 80, 24, Options{Status: func() Status { return Status{Err: errors.New(long), Done: true} }})
	do(m, later(int(time.Second/tickInterval)))
	press(m, "' b")
	enter(m, "messages")
	v := strings.Join(strings.Fields(m.View()), " ")
	for _, want := range []string{"␛[2Jeverything before the cut was read", "· no mark b"} {
		if !strings.Contains(v, want) {
			t.Errorf("no %q on\n%s", want, m.View())
		}
	}
	if err := checkScreen(m); err != nil {
		t.Error(err)
	}
	if press(m, "esc"); m.overlay != nil {
		t.Error("esc does not close them")
	}
	for range 2 * maxSaid {
		m.say("one", false)
		m.say("two", false)
	}
	if len(m.said) != maxSaid {
		t.Errorf("%d messages are kept", len(m.said))
	}
}

// Where the reason of an end has no room, the line says where it is whole.
func TestLongErrorLeadsToMessages(t *testing.T) {
	reason := "the recording is cut off: " + strings.Repeat("it was not written to its end, ", 6)
	m := newScreen(sample(t).st, 120, 36, Options{Status: func() Status { return Status{Done: true, Err: errors.New(reason)} }})
	if line := lastLine(m); !strings.Contains(line, "the recording is cut off") || !strings.Contains(line, ":messages has it whole  ? help") {
		t.Errorf("%q", line)
	}
	if err := checkScreen(m); err != nil {
		t.Error(err)
	}
}
