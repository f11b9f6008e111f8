from .build import build_report as build_report
from .page import Report as Report
from .page import report_page as report_page
