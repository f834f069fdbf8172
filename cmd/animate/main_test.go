package main

import (
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestRun puts a tall red and a small blue picture together.
func TestRun(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	red, blue := color.RGBA{R: 200, A: 255}, color.RGBA{B: 200, A: 255}
	picture := func(name string, height int, c color.Color) string {
		p := image.NewRGBA(image.Rect(0, 0, 10, height))
		draw.Draw(p, p.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
		path := filepath.Join(folder, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, p); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	name := filepath.Join(folder, "both")
	args := []string{name, "4s", picture("red.png", 20, red), "1.5s", picture("blue.png", 5, blue)}
	if err := run(args); err != nil {
		t.Fatal(err)
	}

	f, err := os.Open(name + ".gif")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := gif.DecodeAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Delay, []int{400, 150}) || g.LoopCount != 0 {
		t.Errorf("got delays %v and %d loops, want 400 and 150 hundredths, for ever", g.Delay, g.LoopCount)
	}
	white := color.RGBA{R: 255, G: 255, B: 255, A: 255}
	for i, want := range []color.RGBA{red, white} {
		if got := color.RGBAModel.Convert(g.Image[i].At(5, 17)); got != want || g.Image[i].Rect.Dy() != 20 {
			t.Errorf("frame %d ends in %v at %v, want %v at 10x20", i, got, g.Image[i].Rect, want)
		}
	}

	still, err := read(name + ".png")
	if err != nil {
		t.Fatal(err)
	}
	if still.Bounds() != image.Rect(0, 0, 10, 25) || color.RGBAModel.Convert(still.At(5, 22)) != blue {
		t.Errorf("the still is %v and ends in %v, want 10x25 and %v", still.Bounds(), still.At(5, 22), blue)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x")
	for _, args := range [][]string{nil, {name}, {name, "4s"}, {name, "soon", "main.go"}, {name, "4s", "main.go"},
		{name, "4s", "absent.png"}} {
		if run(args) == nil {
			t.Errorf("run(%q) = nil, want an error", args)
		}
	}
}
