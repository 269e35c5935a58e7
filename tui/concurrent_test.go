// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"testing"
	"time"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// The store is written to, and evicts, between any two steps of the UI.
func TestWhileAnotherGoroutineWrites(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			k := tr.requests(1)
			for i := range 50 {
				select {
				case <-stop:
					return
				default:
					k.more(uint32(3+20*i), 10)
				}
			}
			k.close()
		}
	}()
	keys := []string{"g", "j", "pgdown", "1", "k", "enter", "2", "G", "enter", "j", "s", "esc", "space", "g", "pgup", "3", "g", "space", "4", "pgdown", "esc", "esc"}
	deadline := time.Now().Add(500 * time.Millisecond)
	for i := 0; time.Now().Before(deadline) || tr.st.Snapshot().Evicted == 0; i++ {
		do(m, later(i), keyMsg(keys[i%len(keys)]))
		if i%50 == 0 {
			do(m, tea.WindowSizeMsg{Width: 60 + i%150, Height: 10 + i%50})
		}
		if err := checkScreen(m); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	// With the writer at rest the screen shows the store as it is.
	press(m, "esc esc esc esc esc esc")
	if m.paused {
		press(m, "space")
	}
	for m.view != (store.View{}) {
		press(m, "3 esc")
	}
	do(m, later(1<<20))
	press(m, "3 G")
	if got, want := selectedSeq(t, m), tr.st.Snapshot().Rows; got != want {
		t.Errorf("row %d under the cursor, the newest is %d", got, want)
	}
}
