"""What a report is made of: paragraphs, lists, tables, figures, sections."""

from dataclasses import dataclass

from distortion.figures.style import Drawing
from distortion.tables.table import Table


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms with their definitions."""

    pairs: tuple[tuple[str, str], ...]


Block = Text | Bullets | Terms | Table | Drawing


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered part of the report; `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """The report: its title, its answer in one sentence, its sections."""

    title: str
    headline: str
    sections: tuple[Section, ...]

    def tables(self) -> list[Table]:
        """Every table, in order."""
        return [b for s in self.sections for b in s.blocks if isinstance(b, Table)]

    def drawings(self) -> list[Drawing]:
        """Every figure, in order."""
        return [b for s in self.sections for b in s.blocks if isinstance(b, Drawing)]
