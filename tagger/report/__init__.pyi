from .build import build_report as build_report
from .library import LibraryEntry as LibraryEntry
from .library import library_entries as library_entries
from .library import reviewed_tags as reviewed_tags
from .page import Report as Report
from .page import report_page as report_page
