// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func TestConfig(t *testing.T) {
	c, err := parseConfig("config.toml", `
theme = "light"
layout = "rows"

[keys]
filter = ["/", "f3"]
quit = "Q"
zoom = []
pause = "space"

[columns]
frames = ["#", "type", "info"]

[colours]
bad = "bright-red on #202020 bold"

[filters]
slow = "time > 1s"
`)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTraffic(0)
	tr.requests(5)
	m := newScreen(tr.st, 120, 36, Options{Config: c, Renderer: renderer(true)})
	if m.theme != "light" || len(m.lay.boxes) != 2 {
		t.Errorf("theme %s, %d boxes", m.theme, len(m.lay.boxes))
	}
	if strings.Contains(m.View(), "flags") {
		t.Error("a column that was not chosen is shown")
	}
	press(m, "z q")
	if m.zoomed {
		t.Error("a key without an action does something")
	}
	if cmd := m.key(keyMsg("Q")); cmd == nil {
		t.Error("the key for quit does not quit")
	}
	if press(m, "space"); !m.paused {
		t.Error("space does not pause")
	}
	r := renderer(true)
	if want := sgrOf(r.NewStyle().Foreground(lipgloss.Color("9")).Background(lipgloss.Color("#202020")).Bold(true)); m.sty.bad != want {
		t.Errorf("bad looks like %q, want %q", m.sty.bad, want)
	}
	press(m, "?")
	if v := m.View(); !strings.Contains(v, "//f3") || strings.Contains(v, "this pane alone") {
		t.Errorf("the help does not tell the keys as they are:\n%s", v)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"theme = 1", 1, "string"},
		{"\ntheme = \"pink\"", 2, `no theme "pink"`},
		{"layout = \"x\"", 1, "no layout"},
		{"# nothing\n\ncolors = 1", 3, "colors is not known"},
		{"[kyes]\nquit = \"x\"", 1, "kyes"},
		{"[keys]\nquit = [\"q\"\n", 2, ""},
		{"[keys]\nquit = 5", 2, "list of strings"},
		{"[keys]\nquti = \"q\"", 2, `no action "quti"`},
		{"[keys]\n\nquit = \"strg+q\"", 3, `"strg+q" is no key`},
		{"[keys]\nquit = \"\x7f\"", 2, ""},
		{"[keys]\nzoom = \"q\"", 2, `bound to quit already`},
		{"[keys]\nquit = \"ctrl+c\"", 2, "bound to interrupt already"},
		{"[keys]\ntheme = \"a\"\n[columns]\nframe = [\"#\"]", 2, "no action"},
		{"[columns]\nframe = [\"#\"]", 2, `no list "frame"`},
		{"[columns]\nframes = [\"#\", \"x\"]", 2, `no column "x"`},
		{"[columns]\nframes = []", 2, "one column is needed"},
		{"[colours]\nbadd = \"red\"", 2, `no role "badd"`},
		{"[colours]\nbad = \"reddish\"", 2, `"reddish" is no colour`},
		{"[colours]\nbad = \"red blue\"", 2, "one colour too many"},
		{"[colours]\nbad = \"#12345g\"", 2, "no colour"},
		{"[filters]\nx = 7", 2, ""},
	} {
		_, err := parseConfig("/x/config.toml", c.text)
		var e *ConfigError
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if e.Line != c.line || !strings.Contains(e.Text, c.want) || !strings.HasPrefix(e.Error(), "/x/config.toml, line ") {
			t.Errorf("%q: %v; want line %d, %q", c.text, err, c.line, c.want)
		}
	}
	if c, err := ReadConfig(filepath.Join(t.TempDir(), "none")); err != nil || c.Theme != "" {
		t.Errorf("without a file: %v", err)
	}
	dir := t.TempDir()
	if _, err := ReadConfig(dir); err == nil {
		t.Error("a directory was read")
	}
	file := filepath.Join(dir, "c")
	os.WriteFile(file, []byte("theme = \"\xff\x1b[2J\""), 0o600)
	if _, err := ReadConfig(file); err == nil || strings.ContainsRune(err.Error(), '\x1b') {
		t.Errorf("%q", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("theme = \"light\"\n[keys]\nquit = [\"q\"]\n[colours]\nbad = \"red on 3 bold\"")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("c", text)
		var e *ConfigError
		switch {
		case err == nil:
			m := newScreen(fuzzed.st, 80, 24, Options{Config: c})
			if err := checkScreen(m); err != nil {
				t.Error(err)
			}
		case !errors.As(err, &e) || strings.ContainsAny(err.Error(), "\x1b\u009b"):
			t.Errorf("%q", err)
		}
	})
}

var fuzzed = func() *traffic {
	tr := newTraffic(0)
	tr.requests(3)
	return tr
}()

// Every theme says apart what must be told apart, and without colours there is
// none in any.
func TestThemes(t *testing.T) {
	for _, th := range themes() {
		s := newStyles(renderer(true), th, nil)
		distinct := [][]sgr{{s.plain, s.bad}, {s.plain, s.selected, s.unselected}, {s.border, s.focus}}
		if th.colour {
			distinct = append(distinct, []sgr{s.good, s.warn, s.bad}, []sgr{s.send, s.recv}, []sgr{s.headers, s.control})
		}
		for _, group := range distinct {
			for i, a := range group {
				if slices.Contains(group[i+1:], a) {
					t.Errorf("%s: %q twice in one group", th.name, a)
				}
			}
		}
		s = newStyles(renderer(false), th, nil)
		for name, look := range s.roles() {
			if *look != (sgr{}) {
				t.Errorf("%s: %s is %q without colours", th.name, name, *look)
			}
		}
		for name := range th.looks {
			if (&styles{}).roles()[name] == nil {
				t.Errorf("%s: no role %q", th.name, name)
			}
		}
	}
}

// linear is the light of a colour's three parts, 0 to 1.
func linear(t *testing.T, hex string) (out [3]float64) {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		c := float64(n>>(16-8*i)&255) / 255
		if c <= 0.04045 {
			out[i] = c / 12.92
		} else {
			out[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return out
}

// What is told by colour alone is apart for those who do not see red or green:
// matrices of Viénot, Brettel and Mollon (1999), linear RGB.
func TestColourBlindTheme(t *testing.T) {
	blind := map[string][3][3]float64{
		"protanopia":   {{0.11238, 0.88762, 0}, {0.11238, 0.88762, 0}, {0.00401, -0.00401, 1}},
		"deuteranopia": {{0.29275, 0.70725, 0}, {0.29275, 0.70725, 0}, {-0.02234, 0.02234, 1}},
	}
	th, _ := themeNamed("colour-blind")
	for kind, matrix := range blind {
		seen := func(hex string) (out [3]float64) {
			in := linear(t, hex)
			for i, row := range matrix {
				for j, f := range row {
					out[i] += f * in[j]
				}
				out[i] = math.Cbrt(max(out[i], 0)) // about as bright as it looks
			}
			return out
		}
		for _, pair := range [][2]string{{"good", "warn"}, {"send", "recv"}, {"headers", "control"}} {
			a, b := seen(th.looks[pair[0]].fg), seen(th.looks[pair[1]].fg)
			distance := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
			if distance < 0.2 {
				t.Errorf("%s: %s and %s are %.2f apart", kind, pair[0], pair[1], distance)
			}
		}
	}
}

func TestChooseColumns(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "C")
	if v := m.View(); !strings.Contains(v, "Columns of the frames") || !strings.Contains(v, "[x] flags") {
		t.Fatalf("no chooser:\n%s", v)
	}
	press(m, "j space esc")
	if !m.frames.cols[frameTime].off || m.overlay != nil {
		t.Error("space does not leave out the column")
	}
	press(m, "1 C")
	if !strings.Contains(m.View(), "Columns of the connections") {
		t.Error("not those of the focused list")
	}
	for range 20 {
		press(m, "space j")
	}
	press(m, "g")
	for range 20 {
		press(m, "k space")
	}
	press(m, "C")
	shown := 0
	for _, c := range m.conns.cols {
		if !c.off {
			shown++
		}
	}
	if shown == 0 {
		t.Error("no column is left")
	}
	for _, size := range [][2]int{{10, 3}, {80, 24}, {1, 1}, {20, 8}} {
		m := newScreen(sample(t).st, size[0], size[1], Options{})
		for _, keys := range []string{"C", "G", "j space", "k k k k", "esc"} {
			press(m, keys)
			if err := checkScreen(m); err != nil {
				t.Errorf("%v %q: %v", size, keys, err)
			}
		}
	}
}

func TestSort(t *testing.T) {
	tr := newTraffic(0)
	for _, n := range []int{3, 9, 1, 5} {
		tr.requests(n)
	}
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g j")
	at := m.conns.selected().ID
	for m.conns.by != connFrames {
		press(m, "S")
	}
	order := func() (ids []int) {
		for i := range m.conns.conns {
			ids = append(ids, int(m.conns.conns[i].ID))
		}
		return ids
	}
	if got := order(); !slices.Equal(got, []int{2, 4, 1, 3}) {
		t.Errorf("by frames: %v", got)
	}
	if got := m.conns.selected().ID; got != at {
		t.Errorf("the cursor went from %v to %v", at, got)
	}
	tr.conns[3].more(101, 20)
	do(m, later(5))
	if got := order(); !slices.Equal(got, []int{3, 2, 4, 1}) {
		t.Errorf("after more of c3: %v", got)
	}
	if got := m.conns.selected().ID; got != at {
		t.Errorf("the cursor went from %v to %v", at, got)
	}
	press(m, "space")
	tr.requests(100)
	do(m, later(6))
	if got := order(); len(got) != 4 {
		t.Errorf("while paused: %v", got)
	}
	press(m, "space")
	// A click on the title of a column sorts too.
	line := strings.Split(m.View(), "\n")[2]
	before, _, _ := strings.Cut(line, " str ")
	do(m, click(width(before)+2, 2))
	if m.conns.by != connStreams {
		t.Errorf("a click on str sorts by %d: %q", m.conns.by, line)
	}
	press(m, "j")
	at = m.conns.selected().ID
	press(m, "enter")
	if m.view.Conn != at {
		t.Errorf("enter opened %v, the cursor was on %v", m.view.Conn, at)
	}
	for range 20 {
		press(m, "1 S")
		if err := checkScreen(m); err != nil {
			t.Error(err)
		}
	}
}
